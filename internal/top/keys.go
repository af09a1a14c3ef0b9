package top

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// mostTyped is how long a filter can be, in characters.
const mostTyped = 60

// key does what a key asks for.
func (m *Model) key(key, text string) tea.Cmd {
	switch {
	case key == "ctrl+c":
		return tea.Quit
	case key == "ctrl+z" && m.o.NoSuspend:
		return nil
	case key == "ctrl+z":
		return tea.Suspend
	case m.typing:
		m.typed(key, text)
		return nil
	case m.overlay != nil:
		if !m.overlay.key(key, m.height-2) {
			m.overlay = nil
		}
		return nil
	}
	switch key {
	case "q", "Q":
		return tea.Quit
	case "p", "space":
		m.paused = !m.paused
		m.show()
	case "/":
		m.typing = true
	case "esc":
		m.filter = ""
		m.show()
	case "s":
		v := &m.views[m.pane]
		v.sort = (v.sort + 1) % len(orders[m.pane])
		v.at = 0
		m.resort()
	case "?", "h", "f1":
		m.overlay = &overlay{title: "Help", lines: strings.Split(help, "\n")}
	case "enter", "e":
		return m.explain()
	default:
		m.move(key)
	}
	return nil
}

// typed edits the filter.
func (m *Model) typed(key, text string) {
	switch key {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	case "ctrl+u":
		m.filter = ""
	default:
		if utf8.RuneCountInString(m.filter+text) <= mostTyped {
			m.filter += m.o.Printable(text)
		}
	}
	m.show()
}

// move goes to another pane or row.
func (m *Model) move(key string) {
	page := max(m.visible-1, 1)
	at := m.views[m.pane].at
	switch key {
	case "tab", "right", "l":
		m.pane = (m.pane + 1) % panes
		return
	case "shift+tab", "left":
		m.pane = (m.pane + panes - 1) % panes
		return
	case "1", "2", "3", "4", "5":
		m.pane = int(key[0] - '1')
		return
	case "up", "k":
		at--
	case "down", "j":
		at++
	case "pgup", "ctrl+b":
		at -= page
	case "pgdown", "ctrl+f":
		at += page
	case "home", "g":
		at = 0
	case "end", "G":
		at = len(m.rows(m.pane)) - 1
	default:
		return
	}
	m.selectRow(m.pane, at)
}

// resort makes the rows of the pane anew, in the order that was asked for. While paused they are those of the moment that
// is shown, put in order by what is known now.
func (m *Model) resort() {
	made := m.make(m.pane)
	if m.paused {
		m.data[m.pane] = sameRows(made, m.data[m.pane])
	}
	m.fresh[m.pane] = made
	m.show()
}

// make makes the rows of a pane.
func (m *Model) make(p int) []row {
	switch p {
	case paneRules:
		return m.ruleRows()
	case paneInterfaces:
		return m.interfaceRows()
	case paneEvents:
		return m.eventRows()
	case paneNames:
		return m.nameRows()
	}
	return m.leakRows()
}

// sameRows are old in the order of made; what made has not stays behind.
func sameRows(made, old []row) []row {
	place := make(map[string]int, len(made))
	for i, r := range made {
		place[r.id] = i + 1
	}
	sorted := slices.Clone(old)
	slices.SortStableFunc(sorted, func(a, b row) int {
		x, y := place[a.id], place[b.id]
		if x == 0 || y == 0 {
			return cmp.Compare(y, x) // those that are still there come first
		}
		return cmp.Compare(x, y)
	})
	return sorted
}

// explain asks why the selected line is as it is.
func (m *Model) explain() tea.Cmd {
	rows := m.rows(m.pane)
	at := m.views[m.pane].at
	if at >= len(rows) || rows[at].subject.Arg == "" {
		m.overlay = &overlay{title: "Explain", lines: []string{"There is nothing to explain of this line."}}
		return nil
	}
	subject := rows[at].subject
	m.overlay = &overlay{title: "Explain " + m.o.Printable(subject.Arg), lines: []string{"Asking..."}, asked: subject}
	return func() tea.Msg {
		text, err := m.source.Explain(subject)
		return explainMsg{subject, text, err}
	}
}

// explained shows the answer, unless something else is looked at by now.
func (m *Model) explained(msg explainMsg) {
	if m.overlay == nil || m.overlay.asked != msg.subject {
		return
	}
	text := msg.text
	if msg.err != nil {
		text = strings.TrimSpace(text + "\n" + msg.err.Error())
	}
	m.overlay.lines = nil
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		m.overlay.lines = append(m.overlay.lines, m.o.Printable(strings.ReplaceAll(line, "\t", "  ")))
	}
}

const help = `1 to 5, Tab      the panes: rules, interfaces, events, names, leaks
Up, Down, j, k   select a line; PgUp, PgDn, Home, End
Enter, e         explain the selected line
/                show only lines that have a text; Esc: all again
s                sort by something else
p, Space         pause: what is shown stays, counting goes on
Ctrl-Z           to the shell; back by fg
q                quit

Rules are those that decided a connection, or the first datagram to a
peer, since start; CONN/S is how many in the last second. Events are the
last 500. Names in conflict lead to different places on one address.
Leaks were not steered, although what they say in their first packet has
a rule. The line on top sums up counters: docs/counters.md.`
