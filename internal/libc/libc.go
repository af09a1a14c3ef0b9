// Package libc finds the C libraries of a host whose look-ups of names can be observed, and the places of those
// functions in their files.
package libc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Library is one file. It is held open until Close: whatever its path leads to later on, this is what was read.
type Library struct {
	Path      string // as the system, or the process that maps it, knows it
	PID       int    // a process that maps it; 0: it is installed, in one of the system's places
	Device    uint64
	Inode     uint64
	Functions []Function

	file *os.File
}

// Open is a path to the very file, for this process and as long as the library is not closed.
func (l *Library) Open() string { return fmt.Sprintf("/proc/self/fd/%d", l.file.Fd()) }

// ID tells files apart.
func (l *Library) ID() string { return fmt.Sprintf("%x_%x", l.Device, l.Inode) }

// Found is what Find found.
type Found struct {
	Libraries []*Library
	Skipped   int      // files that programs map by such names, and that nobody looked into
	Why       []string // of Skipped, in few words
	Late      bool     // there was no time for all programs, or for all that they map
	Hidden    bool     // the kernel does not let us look at some programs, or at what they map
}

// Close closes the files.
func (f Found) Close() {
	for _, l := range f.Libraries {
		l.file.Close()
	}
}

// Find returns the libraries that are installed, then those that running processes of this network namespace map,
// deleted ones included. Of processes, what vanishes meanwhile or cannot be read is left out.
func Find() (Found, error) {
	f := finder{root: "/", proc: "/proc", seen: map[string]bool{}}
	if err := f.installed(); err != nil {
		f.found.Close()
		return Found{}, err
	}
	f.mapped()
	return f.found, nil
}

type finder struct {
	root, proc string
	seen       map[string]bool // by ID: what was looked into, or will be
	found      Found
}

// machines are the names of this machine in ELF terms, and in those of musl.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// installed looks where libraries are kept; no crawl.
func (f *finder) installed() error {
	machine := machines[runtime.GOARCH]
	names := []string{"libc.so.6", "libc.so", "ld-musl-" + machine + ".so.1", "libc.musl-" + machine + ".so.1"}
	dirs, err := f.places()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := f.add(path); err != nil && !absent(err) && !errors.Is(err, errNotLibrary) {
				return fmt.Errorf("look at %s: %w", path, err)
			}
		}
	}
	return nil
}

// add looks into an installed file.
func (f *finder) add(path string) error {
	l, _, err := identify(path)
	if err != nil || f.seen[l.ID()] {
		return err
	}
	l.Path = path
	if err = l.read(path); err == nil {
		f.found.Libraries = append(f.found.Libraries, l)
	}
	f.seen[l.ID()] = err == nil || refused(err)
	return err
}

// identify tells which file a path leads to, and whose it is.
func identify(path string) (l *Library, owner uint32, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() {
		return nil, 0, errNotLibrary
	}
	return &Library{Device: sys.Dev, Inode: sys.Ino}, sys.Uid, nil
}

// absent: /usr/lib/NAME may be no directory.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// places lists the directories that may hold a C library.
func (f *finder) places() ([]string, error) {
	var all []string
	for _, prefix := range []string{"", "usr", "usr/local"} {
		libs, err := matching(filepath.Join(f.root, prefix), "lib*")
		if err != nil {
			return nil, err
		}
		for _, lib := range libs {
			machines, err := matching(lib, "*-linux-*")
			if err != nil {
				return nil, err
			}
			all = append(append(all, lib, filepath.Join(lib, "musl/lib")), machines...)
			for _, dir := range append(machines, lib) {
				levels, err := matching(filepath.Join(dir, "glibc-hwcaps"), "*")
				if err != nil {
					return nil, err
				}
				all = append(all, levels...)
			}
		}
	}
	return all, nil
}

// matching lists what a directory has by names of a pattern; one that is not there has nothing.
func matching(dir, pattern string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("look for C libraries: %w", err)
	}
	var all []string
	for _, e := range entries {
		if ok, _ := filepath.Match(pattern, e.Name()); ok { // the pattern is ours
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	return all, nil
}

// isLibrary tells whether a file's name is one that C libraries have.
func isLibrary(name string) bool {
	switch {
	case name == "libc.so.6", name == "libc.so":
		return true
	case strings.HasPrefix(name, "libc-2."), strings.HasPrefix(name, "libc.musl-"), strings.HasPrefix(name, "ld-musl-"):
		return strings.Contains(name, ".so")
	}
	return false
}
