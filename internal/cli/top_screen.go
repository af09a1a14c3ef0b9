package cli

import (
	"bytes"
	"os"
	"regexp"
)

// altScreen has a terminal show its alternate screen.
const altScreen = "\x1b[?1049h"

// keyboardStack pushes to the terminal's stack of keyboard modes, of which each screen has one, or pops from it.
var keyboardStack = regexp.MustCompile("\x1b\\[[<>][0-9]*u")

// screenFile is a terminal of which nothing but the alternate screen is drawn on. What draws may begin, on a busy machine, with
// an empty frame before it has asked for that screen, which would erase the line that the cursor is on: it is held back
// until then.
type screenFile struct {
	file  *os.File
	held  []byte
	shown bool // the alternate screen
}

func (s *screenFile) Write(b []byte) (int, error) {
	if s.shown {
		return s.file.Write(b)
	}
	s.held = append(s.held, b...)
	before, after, found := bytes.Cut(s.held, []byte(altScreen))
	if !found {
		return len(b), nil
	}
	s.shown, s.held = true, nil
	first := append([]byte(altScreen), keyboardStack.ReplaceAll(before, nil)...)
	if _, err := s.file.Write(append(first, after...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (s *screenFile) Read(b []byte) (int, error) { return s.file.Read(b) }
func (s *screenFile) Close() error               { return s.file.Close() }
func (s *screenFile) Fd() uintptr                { return s.file.Fd() }
