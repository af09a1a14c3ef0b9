// Package ruleio reads configurations: what the files say, what they come to together, and the rules they and their
// lists make. It also writes the file of saved rules and the cache of a loaded configuration. It does no I/O but
// through the Opener it is given, and knows nothing of Linux.
package ruleio

import (
	"errors"
	"fmt"
	"io"
)

// MaxFile is the largest configuration file taken, in bytes. Longer lists of names belong into list files.
const MaxFile = 2 << 20

// Opener opens the file of a path. It says in its error which file that is.
type Opener func(path string) (io.ReadCloser, error)

// Source is one configuration file. Lists it names are beside it, unless their paths are absolute.
type Source struct {
	Path string
	Data []byte
}

// Error tells what is wrong with a file, and where.
type Error struct {
	Path         string
	Line, Column int // from 1, in characters; 0 where there is none
	Reason       string
	Err          error // what it came from, nil if nothing
}

// Error names the place as compilers do.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.Path, e.Reason)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.Path, e.Line, e.Column, e.Reason)
}

// Unwrap returns what it came from.
func (e *Error) Unwrap() error { return e.Err }

// Place is a line of a file; Line is 0 where the format has no lines, Path "" where the place is not known.
type Place struct {
	Path string `json:"path"`
	Line int    `json:"line"`
}

// String returns "PATH:LINE".
func (p Place) String() string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.Line)
}

// pos is a place in the file at hand, from 1.
type pos struct{ line, column int }

// fail makes the error of a place.
func (f *File) fail(p pos, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Path: f.path, Line: p.line, Column: p.column, Reason: err.Error(), Err: errors.Unwrap(err)}
}

// place makes the Place of a position.
func (f *File) place(p pos) Place { return Place{f.path, p.line} }
