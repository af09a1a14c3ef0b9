package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Styles, as in the escape sequence "\x1b[STYLEm".
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "1;36"
)

const (
	// usualWidth is for output that does not go to a terminal, in columns.
	usualWidth = 100
	// leastWidth is what the demo's own lines need.
	leastWidth = 80
)

// screen writes the demo's output, in colour where that is wanted. It remembers the first error.
type screen struct {
	w      io.Writer
	colour bool
	width  int
	err    error
}

func newScreen(f *os.File) *screen {
	s := &screen{w: f, width: usualWidth}
	if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
		s.colour = wantsColour(os.Getenv)
		if size.Col > 0 {
			s.width = max(int(size.Col), leastWidth)
		}
	}
	return s
}

// wantsColour tells whether a terminal may be coloured (https://no-color.org).
func wantsColour(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

func (s *screen) paint(style, text string) string {
	if !s.colour || style == plain {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *screen) line(style, format string, args ...any) {
	if _, err := fmt.Fprintln(s.w, s.paint(style, fmt.Sprintf(format, args...))); s.err == nil {
		s.err = err
	}
}

// title starts a step.
func (s *screen) title(format string, args ...any) {
	s.line(plain, "\n%s", s.paint(cyan, fmt.Sprintf(format, args...)))
}

// say explains, one line at a time.
func (s *screen) say(lines ...string) {
	for _, l := range lines {
		s.line(dim, "   %s", l)
	}
}

// ok is a claim that was checked.
func (s *screen) ok(format string, args ...any) {
	s.line(plain, "%s %s", s.paint(green, "ok"), fmt.Sprintf(format, args...))
}

// prompt shows a command as typed: by root after '#', by others after '$'.
func (s *screen) prompt(sign, command string) {
	s.line(plain, "%s %s", s.paint(yellow, sign), s.paint(bold, command))
}

// output shows what a command printed.
func (s *screen) output(text string) {
	if text = strings.TrimRight(text, "\n"); text != "" {
		s.line(plain, "%s", text)
	}
}

// excerpt shows the first lines of what a command printed, cut at the width of the screen.
func (s *screen) excerpt(text string, most int) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if i == most {
			s.line(dim, "... and %d more lines", len(lines)-i)
			return
		}
		s.line(plain, "%s", cut(l, s.width))
	}
}

// cut shortens a line to a number of columns, and shows that it did.
func cut(l string, columns int) string {
	r := []rune(strings.TrimRight(l, " "))
	if len(r) <= columns {
		return string(r)
	}
	return string(r[:columns-1]) + ">"
}

// table shows rows in columns. The first row is the heading.
func (s *screen) table(rows [][]cell) {
	for i, row := range align(rows) {
		var texts []string
		for _, c := range row {
			if i == 0 {
				c.style = bold
			}
			texts = append(texts, s.paint(c.style, c.text))
		}
		s.line(plain, "%s", strings.Join(texts, "  "))
	}
}
