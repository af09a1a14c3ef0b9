// Package hostfile reads and writes files of the host with care: what a path leads to may be anything, and what decides
// root's rules must be root's.
package hostfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxBytes is how large a file may be.
const MaxBytes = 2 << 30

// Error tells what is wrong with a file and what helps. ENOENT and the like are in Err.
type Error struct {
	Path, Reason string
	Cure         string // a command or a short instruction, or empty
	Err          error  // or nil
}

func (e *Error) Error() string {
	text := e.Path + ": " + e.Reason
	if e.Cure != "" {
		text += "; " + e.Cure
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Check looks at an open file before it is read.
type Check func(path string, st *unix.Stat_t) error

// Open opens a regular file for reading, without waiting for anybody and without touching what is none: first it is
// looked at (O_PATH), then opened. Symbolic links are followed. Errors are *Error.
func Open(path string, checks ...Check) (io.ReadCloser, error) {
	look, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, failure(path, err)
	}
	defer unix.Close(look)
	var st unix.Stat_t
	if err := unix.Fstat(look, &st); err != nil {
		return nil, failure(path, err)
	}
	for _, check := range append([]Check{regular}, checks...) {
		if err := check(path, &st); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", look), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, failure(path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	return struct {
		io.Reader
		io.Closer
	}{Limit(path, f), f}, nil
}

// Limit ends what is longer than MaxBytes with an error, such as a file that grows while it is read.
func Limit(path string, r io.Reader) io.Reader { return &limited{path, r, MaxBytes} }

type limited struct {
	path string
	in   io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, tooLarge(l.path)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = failure(l.path, err)
	}
	return n, err
}

func tooLarge(path string) error {
	return &Error{Path: path, Reason: "is larger than 2 GiB, which no list is"}
}

func failure(path string, err error) error {
	e := &Error{Path: path, Err: err}
	var errno unix.Errno
	switch {
	case errors.Is(err, unix.ENOENT):
		e.Reason = "no such file"
		if target, lerr := os.Readlink(path); lerr == nil {
			e.Reason = "leads to " + target + ", which does not exist"
		}
	case errors.Is(err, unix.ELOOP):
		e.Reason = "is a loop of symbolic links"
	case errors.As(err, &errno):
		e.Reason = errno.Error()
	default:
		e.Reason = err.Error()
	}
	return e
}

// regular refuses what is no regular file, in words.
func regular(path string, st *unix.Stat_t) error {
	kinds := map[uint32][2]string{
		unix.S_IFDIR:  {"is a directory", ""},
		unix.S_IFIFO:  {"is a pipe", "to read one, give it as standard input: -"},
		unix.S_IFSOCK: {"is a socket", ""},
		unix.S_IFCHR:  {"is a device", ""},
		unix.S_IFBLK:  {"is a device", ""},
	}
	if words, ok := kinds[st.Mode&unix.S_IFMT]; ok {
		return &Error{Path: path, Reason: words[0] + ", not a file", Cure: words[1]}
	}
	if st.Size > MaxBytes {
		return tooLarge(path)
	}
	return nil
}

// Trusted refuses what others than root, or the user this runs as, own or may write.
func Trusted(path string, st *unix.Stat_t) error {
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return &Error{Path: path, Reason: fmt.Sprintf("belongs to user %d, who could change what root does", st.Uid), Cure: "chown root " + path}
	case st.Mode&unix.S_IWOTH != 0, st.Mode&unix.S_IWGRP != 0 && st.Gid != 0:
		return &Error{Path: path, Reason: fmt.Sprintf("may be written by others (mode %04o)", st.Mode&0o7777), Cure: "chmod go-w " + path}
	}
	return nil
}

// TrustedDir refuses a directory where others could put another file in a file's place.
func TrustedDir(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return failure(dir, err)
	}
	if st.Mode&unix.S_ISVTX != 0 && st.Uid == 0 {
		return nil // as /tmp: a file that is root's stays
	}
	return Trusted(dir, &st)
}

// Names lists the regular-looking names of a directory that end with a suffix, in order, without hidden ones. A
// directory that is not there has none.
func Names(dir, suffix string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failure(dir, err)
	}
	var names []string
	for _, entry := range all {
		if name := entry.Name(); strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, ".") {
			names = append(names, filepath.Join(dir, name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Exists tells whether there is something at a path, be it a link that leads nowhere.
func Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, failure(path, cause(err))
}
