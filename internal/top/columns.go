package top

import (
	"net/netip"
	"strings"

	"charm.land/lipgloss/v2"
)

// column is one of a pane's.
type column struct {
	heading     string
	least, most int  // widths
	right       bool // aligned
	end         bool // of its text the end tells most
	port        bool // it has an address, whose port goes first
	extra       int  // the higher the earlier it goes where there is no room; 0: never
}

// fit gives columns their widths in a line; 0: there is no room for it.
func fit(columns []column, width int) []int {
	widths := make([]int, len(columns))
	used := -1
	for i, c := range columns {
		widths[i] = c.least
		used += c.least + 1
	}
	for used > width {
		drop := -1
		for i, c := range columns {
			if widths[i] > 0 && c.extra > 0 && (drop < 0 || c.extra > columns[drop].extra) {
				drop = i
			}
		}
		if drop < 0 {
			return shrink(widths, used-width)
		}
		used -= widths[drop] + 1
		widths[drop] = 0
	}
	for grown := true; grown && used < width; { // a column each in turn
		grown = false
		for i, c := range columns {
			if widths[i] > 0 && widths[i] < c.most && used < width {
				widths[i]++
				used++
				grown = true
			}
		}
	}
	return widths
}

// shrink makes the widest narrower, until they are so many columns narrower together.
func shrink(widths []int, by int) []int {
	for ; by > 0; by-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		widths[widest]--
	}
	return widths
}

// cell is a text in exactly a width.
func cell(text string, width int, c column) string {
	if to, err := netip.ParseAddrPort(text); err == nil && c.port && len(text) > width {
		text = to.Addr().String()
	}
	if over := lipgloss.Width(text) > width; over && c.end {
		text = cutFront(text, width)
	} else if over {
		text = cut(text, width)
	}
	space := strings.Repeat(" ", max(width-lipgloss.Width(text), 0))
	if c.right {
		return space + text
	}
	return text + space
}

// cut cuts what does not fit a width behind.
func cut(text string, width int) string {
	if lipgloss.Width(text) <= width {
		return text
	}
	if width <= 1 {
		return strings.Repeat("~", max(width, 0))
	}
	used := 0
	for i, r := range text {
		w := lipgloss.Width(string(r))
		if used+w > width-1 {
			return text[:i] + "~"
		}
		used += w
	}
	return text
}

// cutFront cuts what does not fit a width in front.
func cutFront(text string, width int) string {
	if lipgloss.Width(text) <= width {
		return text
	}
	for i := range text {
		if lipgloss.Width(text[i:]) < width {
			return "~" + text[i:]
		}
	}
	return strings.Repeat("~", max(min(width, 1), 0))
}
