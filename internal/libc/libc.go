// Package libc finds the C libraries of a host whose look-ups of names can be observed, and the places of those
// functions in their files.
package libc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// maxLibraries bounds what a user can make us attach to by running programs with libraries of their own.
const maxLibraries = 64

// Library is one file. It is held open until Close: whatever its path leads to later on, this is what was read.
type Library struct {
	Path      string // as the system, or the process that maps it, knows it
	Installed bool   // in one of the system's places; else a process maps it
	Device    uint64
	Inode     uint64
	Functions []Function

	file *os.File
}

// Open is a path to the very file, for this process and as long as the library is not closed.
func (l *Library) Open() string { return fmt.Sprintf("/proc/self/fd/%d", l.file.Fd()) }

// ID tells files apart.
func (l *Library) ID() string { return fmt.Sprintf("%x_%x", l.Device, l.Inode) }

// Libraries are what Find found.
type Libraries []*Library

// Close closes the files.
func (all Libraries) Close() {
	for _, l := range all {
		l.file.Close()
	}
}

// Find returns the libraries that are installed, then those that running processes of this network namespace map,
// deleted ones included. Of processes, what vanishes meanwhile or cannot be read is left out.
func Find() (Libraries, error) {
	f := finder{root: "/", proc: "/proc", seen: map[string]bool{}}
	if err := f.installed(); err != nil {
		f.found.Close()
		return nil, err
	}
	f.mapped()
	return f.found, nil
}

type finder struct {
	root, proc string
	seen       map[string]bool // by ID
	found      Libraries
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
			_, err := f.add(path, path)
			if err != nil && !absent(err) && !errors.Is(err, errNotLibrary) {
				return fmt.Errorf("look at %s: %w", path, err)
			}
		}
	}
	for _, l := range f.found {
		l.Installed = true
	}
	return nil
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

// mapped looks at the processes of this network namespace, containers that share it included.
func (f *finder) mapped() {
	home, err := os.Readlink(f.proc + "/thread-self/ns/net")
	if err != nil {
		return
	}
	entries, err := os.ReadDir(f.proc)
	if err != nil {
		return
	}
	known := map[string]bool{}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(f.proc, e.Name())
		if ns, err := os.Readlink(dir + "/ns/net"); err != nil || ns != home {
			continue
		}
		f.process(dir, known)
	}
}

// process adds what one process maps, unless another one was seen to map the same.
func (f *finder) process(dir string, known map[string]bool) {
	maps, err := os.ReadFile(dir + "/maps")
	if err != nil {
		return
	}
	for sc := bufio.NewScanner(bytes.NewReader(maps)); sc.Scan(); {
		m, ok := parseMapping(sc.Text())
		if !ok || known[m.file] {
			continue
		}
		// Not known after an error: another process may map the same in a way that can be read.
		known[m.file], _ = f.add(filepath.Join(dir, "map_files", m.span), m.path)
	}
}

type mapping struct{ span, file, path string }

// parseMapping reads a line of /proc/PID/maps (proc_pid_maps(5)) about a C library.
func parseMapping(line string) (mapping, bool) {
	fields := strings.SplitN(line, " ", 6)
	if len(fields) < 6 || !strings.Contains(fields[1], "x") {
		return mapping{}, false
	}
	path := strings.TrimLeft(fields[5], " ")
	if !isLibrary(strings.TrimSuffix(filepath.Base(path), " (deleted)")) {
		return mapping{}, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	// maps pads with zeros, map_files does not
	span := strings.TrimLeft(from, "0") + "-" + strings.TrimLeft(to, "0")
	return mapping{span, fields[3] + " " + fields[4], path}, true
}

// add looks at one file. It reports whether that is settled: it was known, or is now.
func (f *finder) add(path, shown string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || !st.Mode().IsRegular() {
		return false, errNotLibrary
	}
	l := &Library{Path: shown, Device: sys.Dev, Inode: sys.Ino}
	if f.seen[l.ID()] || len(f.found) >= maxLibraries {
		return true, nil
	}
	if err := l.read(path); err != nil {
		return false, err
	}
	f.seen[l.ID()] = true
	f.found = append(f.found, l)
	return true, nil
}
