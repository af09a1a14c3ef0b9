package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// column is one of the columns of watch on a terminal.
type column struct {
	heading string
	width   int
	text    func(l *eventLines, e *dataplane.Event, width int) string
}

// The columns in their order, with their widths in 80 columns; 0 is not there.
const (
	colTime = iota
	colKind
	colProcess
	colUser
	colName
	colAddress
	colRule
	colWhere
)

// narrow is the layout for 80 columns: 75 and 5 spaces between.
func narrow() []column {
	return []column{
		colTime:    {"TIME", 8, func(_ *eventLines, e *dataplane.Event, _ int) string { return e.Time.Format(time.TimeOnly) }},
		colKind:    {"KIND", 7, func(_ *eventLines, e *dataplane.Event, _ int) string { return string(e.Kind) }},
		colProcess: {"PROCESS", 13, func(_ *eventLines, e *dataplane.Event, w int) string { return processText(e, w) }},
		colUser:    {"USER", 0, func(l *eventLines, e *dataplane.Event, w int) string { return cut(l.user(e.UID), w) }},
		colName:    {"NAME", 15, func(l *eventLines, e *dataplane.Event, w int) string { return cutFront(dash(l.name(e.Name)), w) }},
		colAddress: {"ADDRESS", 17, func(_ *eventLines, e *dataplane.Event, w int) string { return addressText(e, w) }},
		colRule: {"RULE", 0, func(l *eventLines, e *dataplane.Event, w int) string {
			rule := l.rule(e)
			return cutFront(dash(rule.pattern), w)
		}},
		colWhere: {"WHERE", 15, func(l *eventLines, e *dataplane.Event, w int) string { return where(e, l.rule(e), w) }},
	}
}

// wider is what is done with more than 80 columns, in this order, as far as it goes.
var wider = []struct{ column, width int }{
	{colName, 24}, {colUser, 8}, {colAddress, 21}, {colRule, 18}, {colWhere, 21}, {colName, 32}, {colProcess, 19},
	{colWhere, 28}, {colRule, 28}, {colAddress, 45}, {colName, 48}, {colRule, 48},
}

// fitColumns is the layout for a terminal of a width.
func fitColumns(width int) []column {
	columns := narrow()
	used := 80
	for _, step := range wider {
		c := &columns[step.column]
		more := step.width - c.width
		if c.width == 0 {
			more++ // and a space
		}
		if used+more <= width {
			c.width = step.width
			used += more
		}
	}
	var shown []column
	for _, c := range columns {
		if c.width > 0 {
			shown = append(shown, c)
		}
	}
	return shown
}

func (l *eventLines) heading(b []byte) []byte {
	for i, c := range l.columns {
		if i < len(l.columns)-1 {
			b = pad(b, c.heading, c.width)
		} else {
			b = append(append(b, c.heading...), '\n')
		}
	}
	return b
}

// row is an event on a terminal. The last column is never cut: a line that is too long says what nothing else does.
func (l *eventLines) row(b []byte, e *dataplane.Event) []byte {
	for i, c := range l.columns {
		text := c.text(l, e, c.width)
		if i == len(l.columns)-1 {
			return append(append(b, text...), '\n')
		}
		b = pad(b, text, c.width)
	}
	return b
}

// pad appends a text, filled up to a width, and a space.
func pad(b []byte, text string, width int) []byte {
	b = append(b, text...)
	for n := width - lipgloss.Width(text); n >= 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// cut makes a text safe, and cuts it behind to a width.
func cut(text string, width int) string {
	text = printable(text)
	if lipgloss.Width(text) <= width {
		return text
	}
	return lipgloss.NewStyle().Inline(true).MaxWidth(width-1).Render(text) + "~"
}

// cutFront makes a text safe, and cuts it in front: of names the end tells most.
func cutFront(text string, width int) string {
	text = printable(text)
	for i := range text {
		if rest := text[i:]; i == 0 && lipgloss.Width(rest) <= width {
			return rest
		} else if lipgloss.Width(rest) < width {
			return "~" + rest
		}
	}
	return text
}

// processText has the number whole, and of the name what fits.
func processText(e *dataplane.Event, width int) string {
	if e.PID == 0 {
		return "-"
	}
	number := strconv.FormatUint(uint64(e.PID), 10)
	return cut(dash(e.Comm), max(width-len(number)-1, 1)) + "/" + number
}

// addressText has port and protocol as far as they fit.
func addressText(e *dataplane.Event, width int) string {
	if !e.Address.IsValid() {
		return "-"
	}
	text := e.Address.String()
	if e.Port != 0 {
		port := netip.AddrPortFrom(e.Address, e.Port).String()
		switch {
		case len(port)+1+len(e.Protocol) <= width:
			text = port + "/" + e.Protocol
		case len(port) <= width:
			text = port
		}
	}
	return cut(text, width)
}

// where is where it goes, and why not where that is not plain.
func where(e *dataplane.Event, rule ruleWords, width int) string {
	at := place(e, rule)
	switch {
	case e.Kind == dataplane.EventLearnt:
		return whereLearnt(at, e, width)
	case at != "":
		return printable(at)
	case e.Kind == dataplane.EventBlocked, e.Kind == dataplane.EventDirect:
		return "-"
	default:
		return printable(dash(e.Why))
	}
}

// whereLearnt is where connections to the name go, and by which observer it was learnt, since two may see the same answer: that
// is always there, if there is room for anything else. And for how long, where there is room.
func whereLearnt(at string, e *dataplane.Event, width int) string {
	if !e.Ruled {
		at = "no rule"
	}
	by := ""
	if e.Observer != "" {
		by = ", " + printable(e.Observer)
	}
	if room := width - len(by); room >= len("no rule")-1 {
		at = cut(at, room)
	}
	text := printable(at) + by
	if ttl := fmt.Sprintf(", %d s", e.TTL/time.Second); lipgloss.Width(text)+len(ttl) <= width {
		text += ttl
	}
	return text
}
