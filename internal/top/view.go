package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// The least there is a screen for; below, only a word.
const (
	leastWidth  = 40
	leastHeight = 8
)

var (
	bold     = lipgloss.NewStyle().Bold(true)
	reverse  = lipgloss.NewStyle().Reverse(true)
	headings = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Cyan)
	colours  = map[tone]lipgloss.Style{
		plain:   lipgloss.NewStyle(),
		good:    lipgloss.NewStyle().Foreground(lipgloss.Green),
		bad:     lipgloss.NewStyle().Foreground(lipgloss.Red),
		notable: lipgloss.NewStyle().Foreground(lipgloss.Yellow),
		quiet:   lipgloss.NewStyle().Faint(true),
	}
)

// View draws the screen.
func (m *Model) View() tea.View {
	v := tea.NewView(m.Screen())
	v.AltScreen = true
	return v
}

// Screen is the whole screen, of as many lines as it has.
func (m *Model) Screen() string {
	if m.width < leastWidth || m.height < leastHeight {
		return cut("too small; q quits", m.width)
	}
	var lines []string
	switch {
	case m.overlay != nil:
		lines = m.overlay.draw(m.width, m.height-1)
		lines = append(lines, bold.Render(cut("Esc back  Up Down PgUp PgDn", m.width)))
	default:
		lines = append(lines, m.header()...)
		lines = append(lines, m.tabs())
		lines = append(lines, m.body(m.height-len(lines)-1)...)
		lines = append(lines, m.footer())
	}
	return strings.Join(lines[:min(len(lines), m.height)], "\n")
}

// header has whether it is on, since when, and what happens.
func (m *Model) header() []string {
	s := &m.snap
	state := "on"
	switch {
	case s.When.IsZero():
		state = "reading"
	case !s.Started:
		state = "OFF: domain-route start"
	}
	parts := []string{"domain-route " + state}
	if m.paused {
		parts = append(parts, "PAUSED")
	}
	if m.events.Lost > 0 {
		parts = append(parts, fmt.Sprintf("lost events %d", m.events.Lost))
	}
	if s.Started {
		if !s.Since.IsZero() {
			parts = append(parts, fmt.Sprintf("since %s (%s)", sinceText(s.Since, s.When), ago(s.When.Sub(s.Since))))
		}
		parts = append(parts, fmt.Sprintf("rules %d", s.Rules))
		if s.Version != "" && m.width >= 110 {
			parts = append(parts, "version "+m.o.Printable(s.Version))
		}
	}
	clock := ""
	if !s.When.IsZero() {
		clock = s.When.Format(time.TimeOnly)
	}
	first := m.ends(strings.Join(parts, "  "), clock)
	style := bold
	if !s.Started && !s.When.IsZero() {
		style = bold.Foreground(lipgloss.Red)
	}
	lines := []string{style.Render(first)}
	if s.Problem != "" {
		return append(lines, colours[notable].Render(cut(m.o.Printable(s.Problem), m.width)))
	}
	return append(lines, m.counts())
}

// counts are the connections a second by what became of them, as many as fit.
func (m *Model) counts() string {
	line, width := "", 0
	for _, t := range totals {
		r := m.rates.counters[t.name].now()
		word := fmt.Sprintf("%s %s/s", t.name, figure(r))
		if width+len(word) > m.width {
			break
		}
		style := colours[plain]
		if r > 0 && (t.name == "refused" || t.name == "failed") {
			style = colours[bad]
		}
		line += style.Render(word) + "  "
		width += len(word) + 2
	}
	return strings.TrimRight(line, " ")
}

func figure(r float64) string {
	if r == 0 {
		return "0"
	}
	return rate(r)
}

// ends puts one text at each end of a line.
func (m *Model) ends(left, right string) string {
	space := m.width - lipgloss.Width(left) - len(right)
	if space < 1 {
		return cut(left, m.width)
	}
	return left + strings.Repeat(" ", space) + right
}

// sinceText has the day if it is another.
func sinceText(t, now time.Time) string {
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

var paneNamesText = [panes]string{"Rules", "Interfaces", "Events", "Names", "Leaks"}

// tabs names the panes, with how many rows each has; the selected one stands out without colour, too.
func (m *Model) tabs() string {
	line, width := "", 0
	for p, name := range paneNamesText {
		word := fmt.Sprintf("%d %s", p+1, name)
		if n := len(m.rows(p)); n > 0 {
			word += " " + strconv.Itoa(n)
		}
		if p == m.pane {
			word = "[" + word + "]"
		} else {
			word = " " + word + " "
		}
		if width+len(word) > m.width {
			word = strings.TrimRight(word[:max(m.width-width, 0)], " ")
		}
		width += len(word)
		switch {
		case p == m.pane:
			word = bold.Render(word)
		case p == paneLeaks && len(m.data[p]) > 0:
			word = colours[bad].Render(word)
		}
		line += word
	}
	return line
}

// Of the panes on the first screen, how many rows those that are not selected show.
const (
	restInterfaces = 3
	restOthers     = 4
	leastSelected  = 6
)

// body has the selected pane; where there is room, rules, interfaces and events are there all three.
func (m *Model) body(height int) []string {
	heights := [panes]int{}
	left := height
	if m.pane <= paneEvents {
		for _, p := range []int{paneInterfaces, paneEvents, paneRules} {
			rest := restOthers
			if p == paneInterfaces {
				rest = max(min(restInterfaces, len(m.rows(p))), 1)
			}
			if height >= 34 {
				rest *= 2
			}
			if p != m.pane && left-rest-1 >= leastSelected {
				heights[p] = rest + 1
				left -= rest + 1
			}
		}
	}
	// What the selected pane has no rows for goes to the events.
	if spare := left - max(len(m.rows(m.pane))+1, leastSelected); spare > 0 && heights[paneEvents] > 0 {
		heights[paneEvents] += spare
		left -= spare
	}
	heights[m.pane] = left
	lines := make([]string, 0, height)
	for p, h := range heights {
		if h > 0 {
			lines = append(lines, m.drawPane(p, h)...)
		}
	}
	return lines
}

// drawPane draws a pane in a number of lines, its heading included.
func (m *Model) drawPane(p, height int) []string {
	columns := layouts[p]
	widths := fit(columns, m.width-1)
	lines := []string{headings.Render(" " + m.line(p, columns, widths, nil))}
	if p == paneEvents && m.events.Problem != "" && height > 2 {
		lines = append(lines, " "+colours[notable].Render(cut(m.o.Printable(m.events.Problem), m.width-1)))
	}
	rows, v := m.rows(p), &m.views[p]
	shown := height - len(lines)
	if p == m.pane {
		m.visible = shown
		v.top = max(min(v.top, v.at), v.at-shown+1, 0)
		v.top = min(v.top, max(len(rows)-shown, 0))
	} else {
		v.top = 0
	}
	for i := range shown {
		at := v.top + i
		switch {
		case at < len(rows):
			line := m.line(p, columns, widths, &rows[at])
			if p == m.pane && at == v.at {
				line = reverse.Render(">" + line)
			} else {
				line = " " + colours[rows[at].tone].Render(line)
			}
			lines = append(lines, line)
		case i == 0:
			lines = append(lines, " "+colours[quiet].Render(cut(m.nothing(p), m.width-1)))
		default:
			lines = append(lines, "")
		}
	}
	return lines
}

// line draws a row, or the heading.
func (m *Model) line(p int, columns []column, widths []int, r *row) string {
	var cells []string
	for i, c := range columns {
		if widths[i] == 0 {
			continue
		}
		switch {
		case r == nil:
			cells = append(cells, cell(c.heading, widths[i], column{right: c.right}))
		case p == paneRules && i == sparkColumn:
			cells = append(cells, sparkline(r.spark, widths[i], m.o.ASCII))
		default:
			cells = append(cells, cell(r.cells[i], widths[i], c))
		}
	}
	return strings.Join(cells, " ")
}

// nothing says why a pane is empty.
func (m *Model) nothing(p int) string {
	if m.filter != "" && len(m.data[p]) > 0 {
		return "nothing has this text"
	}
	return [panes]string{
		"no rule has decided a connection yet", "no rule leads to an interface", "nothing happened yet", "no name is learnt",
		"none that is known of",
	}[p]
}

// footer has the keys, or the filter.
func (m *Model) footer() string {
	if m.typing {
		return bold.Render(cut("/"+m.filter+"_", m.width))
	}
	left := "q quit  ? help  Tab pane  / filter  p pause  Enter explain  s sort"
	if m.filter != "" {
		left = "filter: " + m.filter + "  (Esc: all)  ? help"
	}
	return bold.Render(m.ends(left, "by "+m.order(m.pane)))
}

// rows are those of a pane that have the filter's text.
func (m *Model) rows(p int) []row {
	if m.filter == "" {
		return m.data[p]
	}
	var some []row
	want := strings.ToLower(m.filter)
	for _, r := range m.data[p] {
		if strings.Contains(strings.ToLower(strings.Join(r.cells, " ")), want) {
			some = append(some, r)
		}
	}
	return some
}
