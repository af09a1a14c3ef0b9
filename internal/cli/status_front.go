package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/metrics"
)

// The screen that status fits on, warnings and all, in columns and lines; one more line is the prompt's. At least leastLines
// are the page's, however many warnings there are.
const (
	screenWidth  = 80
	screenHeight = 23
	leastLines   = 16
)

// leastUplinks is how many lines the interfaces have at least, and mostFrontLeaks how many leaks are shown.
const (
	leastUplinks   = 3
	mostFrontLeaks = 3
)

// printFront prints the front page: what fits on a screen.
func (a *app) printFront(o overview) {
	shown, taken := firstWarnings(o.Warnings, screenHeight-leastLines)
	for _, text := range shown {
		a.warn("%s", text)
	}
	for _, line := range o.front(max(screenHeight-taken, leastLines)) {
		fmt.Fprintln(a.Stdout, fitted(printable(line), screenWidth))
	}
}

// firstWarnings are those that fit into so many lines of the screen, and how many of them they take. What has no room is
// counted; the first one is shown, however long.
func firstWarnings(all []string, most int) (shown []string, taken int) {
	for i, w := range all {
		text := "warning: " + w
		lines := (lipgloss.Width(printable(text)) + len("domain-route: ") + screenWidth - 1) / screenWidth
		more := len(all) - i
		if i > 0 && taken+lines+min(more-1, 1) > most {
			return append(shown, fmt.Sprintf("warnings more: %d; see: domain-route status --all", more)), taken + 1
		}
		shown, taken = append(shown, text), taken+lines
	}
	return shown, taken
}

// front is the front page, of at most so many lines, and those leastLines or more.
func (o overview) front(height int) []string {
	if o.State == dataplane.StateStopped || o.Cgroup == "" {
		return []string{o.State}
	}
	lines := append(o.head(), "")
	learnt := "learnt: " + o.learntWords()
	last := "everything: domain-route status --all; each counter: docs/counters.md"
	left := height - len(lines) - 2
	groups := o.groups()
	if room := left - len(o.uplinkLines(leastUplinks)) - len(o.leakLines(0)); room < len(groups) {
		more := 0
		for _, g := range groups[room:] {
			more += len(g.items)
		}
		groups, last = groups[:room], fmt.Sprintf("counters more: %d; everything: domain-route status --all", more)
	}
	left -= len(groups)
	leaks := o.leakLines(min(mostFrontLeaks, left-leastUplinks-1))
	uplinks := o.uplinkLines(left - len(leaks))
	left -= len(leaks) + len(uplinks)
	lines = append(append(lines, uplinks...), learnt)
	for _, g := range groups {
		own := g.lines(1)
		if two := g.lines(2); left > 0 && len(two) == 2 {
			own = two
			left--
		}
		lines = append(lines, own...)
	}
	return append(append(lines, leaks...), last)
}

// head is what there is one of.
func (o overview) head() []string {
	audit := yesOrNo(o.Audit)
	decided := "none decided a connection yet"
	if o.sums.Rules > 0 {
		decided = fmt.Sprintf("%d of them decided %d connections", o.sums.Rules, o.sums.Sum)
	}
	if o.sums.Sum == 1 {
		decided = "1 of them decided 1 connection"
	}
	return []string{
		o.sinceWords(),
		"observers: " + strings.Join(o.Observers, " ") + libraryWords(o.Libraries),
		"cgroup: " + o.Cgroup,
		fmt.Sprintf("rules: %d (generation %d); %s", o.Rules, o.Generation, decided),
		"configuration: " + o.config.short(),
		fmt.Sprintf("history: %s; audit: %s; kernel memory: %.1f MB", yesOrNo(o.History), audit, float64(o.Memory)/1e6),
	}
}

// sinceWords is the first line: on, since when, and by what.
func (o overview) sinceWords() string {
	words := o.State
	if !o.Since.IsZero() {
		words += fmt.Sprintf(" since %s (%s)", o.Since.Local().Format("2006-01-02 15:04"), roughly(time.Since(o.Since)))
	}
	if o.Version != "" {
		words += ", version " + o.Version
	}
	return fmt.Sprintf("%s, layout %d", words, dataplane.Layout)
}

func libraryWords(all []dataplane.Library) string {
	n := 0
	for _, l := range all {
		if l.Attached {
			n++
		}
	}
	switch {
	case len(all) == 0:
		return ""
	case n < len(all):
		return fmt.Sprintf(" (%d of %d C libraries)", n, len(all))
	case n == 1:
		return " (1 C library)"
	}
	return fmt.Sprintf(" (%d C libraries)", n)
}

func (o overview) learntWords() string {
	l := o.learnt
	words := fmt.Sprintf("names of %d addresses: %d by processes, %d by users, %d by the host", l.Addresses,
		l.Names[dataplane.LevelProcess], l.Names[dataplane.LevelUser], l.Names[dataplane.LevelHost])
	if l.Conflicts > 0 {
		words += fmt.Sprintf("; conflicts: %d", l.Conflicts)
	}
	return words
}

// uplinkLines are the interfaces, of at most so many lines: those that do not work, and those with the most hits.
func (o overview) uplinkLines(most int) []string {
	if !o.Home {
		return []string{"interfaces: not to be seen from here: they are of another network namespace"}
	}
	if len(o.uplinks) == 0 {
		return nil
	}
	lines := []string{"interfaces of the rules' targets:"}
	room := max(most-1, 1)
	if len(o.uplinks) <= room {
		return append(lines, uplinkTable(o.mostUsed(room))...)
	}
	lines = append(lines, uplinkTable(o.mostUsed(room-1))...)
	return append(lines, fmt.Sprintf("  and %d more", len(o.uplinks)-room+1))
}

// mostUsed are so many interfaces: half of them may be ones that do not work, and more if not enough others are there.
func (o overview) mostUsed(room int) []uplink {
	sorted := slices.SortedStableFunc(slices.Values(o.uplinks), func(x, y uplink) int {
		return cmp.Or(cmp.Compare(y.hits, x.hits), cmp.Compare(y.rules, x.rules))
	})
	var work, broken []uplink
	for _, u := range sorted {
		if u.usable() {
			work = append(work, u)
		} else {
			broken = append(broken, u)
		}
	}
	some := min(len(broken), max(room-len(work), (room+1)/2))
	return append(broken[:some:some], work[:min(len(work), room-some)]...)
}

// uplinkTable aligns interfaces.
func uplinkTable(uplinks []uplink) []string {
	var width [4]int
	var rows [][4]string
	for _, u := range uplinks {
		row := [4]string{u.Name, u.state(), strconv.Itoa(u.rules), strconv.FormatUint(u.hits, 10)}
		for i, cell := range row {
			width[i] = max(width[i], lipgloss.Width(printable(cell)))
		}
		rows = append(rows, row)
	}
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("  %s  %s  rules %s  hits %s", padded(r[0], width[0]), padded(r[1], width[1]),
			strings.Repeat(" ", width[2]-len(r[2]))+r[2], strings.Repeat(" ", width[3]-len(r[3]))+r[3]))
	}
	return lines
}

func padded(s string, width int) string {
	return s + strings.Repeat(" ", max(width-lipgloss.Width(printable(s)), 0))
}

// leakLines are the last leaks under a heading; without room for one below it, the last is told on one line.
func (o overview) leakLines(most int) []string {
	if len(o.leaks) == 0 {
		return nil
	}
	if most < 1 {
		return []string{"last leak: " + leakWords(o.leaks[0])}
	}
	lines := []string{"not steered although the name has a rule, the last ones:"}
	for _, l := range o.leaks[:min(len(o.leaks), most)] {
		lines = append(lines, "  "+leakWords(l))
	}
	return lines
}

func leakWords(l dataplane.Leak) string {
	return fmt.Sprintf("%s %s (pid %d): %s, %s", l.When.Local().Format("01-02 15:04:05"), l.Comm, l.PID, dash(nameText(l.Name)),
		netip.AddrPortFrom(l.Address, l.Port))
}

// counterGroup is a group of counters that are not 0.
type counterGroup struct {
	name  metrics.Group
	items []string
}

// groups are the groups that have any.
func (o overview) groups() []counterGroup {
	by := map[metrics.Group][]string{}
	for _, c := range o.Counters {
		if c.Value > 0 {
			g := metrics.PlaceOf(c.Name).Group
			by[g] = append(by[g], fmt.Sprintf("%s %d", c.Name, c.Value))
		}
	}
	var all []counterGroup
	for _, g := range metrics.Groups {
		if len(by[g]) > 0 {
			all = append(all, counterGroup{g, by[g]})
		}
	}
	return all
}

// lines are the group in at most so many lines of the screen's width. What has no room is counted.
func (g counterGroup) lines(most int) []string {
	lines := []string{string(g.name) + ":"}
	for i, item := range g.items {
		last := &lines[len(lines)-1]
		word := " " + item
		if i < len(g.items)-1 {
			word += ","
		}
		rest := 0
		if left := len(g.items) - i - 1; left > 0 && len(lines) == most {
			rest = len(fmt.Sprintf(" and %d more", left))
		}
		switch {
		case len(*last)+len(word)+rest <= screenWidth:
			*last += word
		case len(lines) < most:
			lines = append(lines, " "+word)
		default:
			*last += fmt.Sprintf(" and %d more", len(g.items)-i)
			return lines
		}
	}
	return lines
}

// fitted shortens a line to a width in columns.
func fitted(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && lipgloss.Width(string(runes)) > width-1 {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// roughly is a length of time in a word: its largest unit.
func roughly(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
