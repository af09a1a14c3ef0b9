package libc

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Any user can run programs with libraries of their own: these bound what that makes us do.
const (
	maxLibraries = 64  // to be observed
	maxOfOwner   = 8   // those that are one user's; root has no such limit
	maxFiles     = 256 // to be looked into, libraries or not
	maxTries     = 32  // those of one user's
	maxPlaces    = 8   // of one file, to be tried until one is still there

	wholeScan = 2 * time.Second
	oneStep   = 500 * time.Millisecond // one process, or one file
)

// A place is where a process maps a file.
type place struct {
	path, shown string
	pid         int
}

// A candidate is a file that has the name of a C library.
type candidate struct {
	Library
	owner  uint32
	places []place
}

// mapped looks at the processes of this network namespace, containers that share it included. Files of root come first:
// what users run takes no room from them.
func (f *finder) mapped() {
	start := time.Now()
	end := start.Add(wholeScan)
	all := f.candidates(start.Add(wholeScan / 2))
	slices.SortStableFunc(all, func(a, b *candidate) int { return cmp.Compare(min(a.owner, 1), min(b.owner, 1)) })
	files, libraries := map[uint32]int{}, map[uint32]int{} // by owner
	for i, c := range all {
		switch {
		case len(f.found.Libraries) >= maxLibraries:
			f.skip("at most %d are", maxLibraries)
			continue
		case c.owner != 0 && libraries[c.owner] >= maxOfOwner:
			f.skip("at most %d of each user are", maxOfOwner)
			continue
		case i-f.found.Skipped >= maxFiles || c.owner != 0 && files[c.owner] >= maxTries:
			f.skip("too many files have such names")
			continue
		}
		files[c.owner]++
		l, ok := within(end, c.read)
		if !ok {
			f.found.Late = true
		}
		if l != nil {
			libraries[c.owner]++
			f.found.Libraries = append(f.found.Libraries, l)
		}
	}
}

func (f *finder) skip(why string, args ...any) {
	f.found.Skipped++
	if why = fmt.Sprintf(why, args...); !slices.Contains(f.found.Why, why) {
		f.found.Why = append(f.found.Why, why)
	}
}

// within takes a step that may hang, as a process can have its memory map locked, and a file be on a server that is
// gone. Such a step is left behind.
func within[T any](end time.Time, step func() T) (result T, ok bool) {
	left := min(oneStep, time.Until(end))
	if left <= 0 {
		return result, false
	}
	done := make(chan T, 1)
	go func() { done <- step() }()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case result = <-done:
		return result, true
	case <-timer.C:
		return result, false
	}
}

// candidates lists what is to be looked into, each file once. Files are told apart by stat alone: in maps, those of
// different subvolumes of btrfs look alike.
func (f *finder) candidates(end time.Time) []*candidate {
	home, err := os.Readlink(f.proc + "/thread-self/ns/net")
	if err != nil {
		return nil
	}
	var all []*candidate
	known := map[string]*candidate{}
	for _, pid := range f.processes() {
		maps, ok := within(end, func() program { return f.process(pid, home) })
		if !ok {
			f.found.Late = true
		}
		f.found.Hidden = f.found.Hidden || maps.hidden
		for _, c := range maps.files {
			switch first := known[c.ID()]; {
			case f.seen[c.ID()]:
			case first == nil:
				known[c.ID()] = c
				all = append(all, c)
			case len(first.places) < maxPlaces:
				first.places = append(first.places, c.places...)
			}
		}
	}
	return all
}

// processes lists all, those of root first: should time run out, then for users.
func (f *finder) processes() []int {
	entries, err := os.ReadDir(f.proc)
	if err != nil {
		return nil
	}
	var roots, others []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if rootOwns(e) {
			roots = append(roots, pid)
		} else {
			others = append(others, pid)
		}
	}
	return append(roots, others...)
}

func rootOwns(e fs.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0
}

// A program is what one process maps.
type program struct {
	files  []*candidate
	hidden bool // there is, or may be, more
}

// mayTrace tells whether we have what looking at others' processes takes. Some, in some containers, stay closed even so: whether
// those are of this network namespace nobody knows, and there is nothing to be done about them.
var mayTrace = sync.OnceValue(func() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
})

// process lists what one process maps, if it is in the network namespace.
func (f *finder) process(pid int, home string) (p program) {
	dir := filepath.Join(f.proc, strconv.Itoa(pid))
	if ns, err := os.Readlink(dir + "/ns/net"); err != nil || ns != home {
		return program{hidden: errors.Is(err, fs.ErrPermission) && !mayTrace()}
	}
	maps, err := os.Open(dir + "/maps")
	if err != nil {
		return program{hidden: errors.Is(err, fs.ErrPermission)}
	}
	defer maps.Close()
	for sc := bufio.NewScanner(maps); sc.Scan(); {
		if !bytes.Contains(sc.Bytes(), []byte(".so")) {
			continue
		}
		m, ok := parseMapping(sc.Text())
		if !ok {
			continue
		}
		path := filepath.Join(dir, "map_files", m.span)
		l, owner, err := identify(path)
		if err == nil {
			p.files = append(p.files, &candidate{*l, owner, []place{{path, m.path, pid}}})
		}
		p.hidden = p.hidden || errors.Is(err, fs.ErrPermission)
	}
	return p
}

// read looks into the file by the first place that is still there. It returns nil if it is no C library.
func (c *candidate) read() *Library {
	for _, p := range c.places {
		l := c.Library
		l.Path, l.PID = p.shown, p.pid
		err := l.read(p.path)
		if err == nil {
			return &l
		}
		if refused(err) {
			return nil
		}
	}
	return nil
}

type mapping struct{ span, path string }

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
	return mapping{span, path}, true
}
