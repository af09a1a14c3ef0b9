package top

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// overlay is a text over everything, that can be scrolled.
type overlay struct {
	title string
	lines []string
	top   int
	asked Subject // what explain was asked
	drawn int     // how many lines it had when it was drawn last
}

// key scrolls by a key; false: it is to be closed.
func (o *overlay) key(key string, page int) bool {
	switch key {
	case "up", "k":
		o.top--
	case "down", "j":
		o.top++
	case "pgup", "ctrl+b":
		o.top -= page
	case "pgdown", "space", "ctrl+f":
		o.top += page
	case "home", "g":
		o.top = 0
	case "end", "G":
		o.top = o.drawn
	default:
		return false
	}
	return true
}

// draw draws it in a number of lines. Lines that are too long go on in the next.
func (o *overlay) draw(width, height int) []string {
	var text []string
	for _, l := range o.lines {
		text = append(text, wrap(l, width)...)
	}
	o.drawn = len(text)
	o.top = max(min(o.top, len(text)-(height-1)), 0)
	lines := []string{bold.Render(cut(o.title, width))}
	for i := range height - 1 {
		if at := o.top + i; at < len(text) {
			lines = append(lines, text[at])
		} else {
			lines = append(lines, "")
		}
	}
	return lines
}

// wrap breaks a line at spaces, or where it has to; what goes on is indented.
func wrap(line string, width int) []string {
	var lines []string
	for lipgloss.Width(line) > width {
		end := 0
		for i := range line {
			if lipgloss.Width(line[:i]) > width {
				break
			}
			end = i
		}
		if space := strings.LastIndexByte(line[:end], ' '); space > width/2 {
			end = space
		}
		lines = append(lines, line[:end])
		line = "  " + strings.TrimLeft(line[end:], " ")
	}
	return append(lines, line)
}
