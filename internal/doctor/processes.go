package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// processes lists the programs of this network namespace, without kernel threads and ourselves.
func (r root) processes(top string) []Process {
	home, err := os.Readlink(r.path("/proc/self/ns/net"))
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(r.path("/proc"))
	if err != nil {
		return nil
	}
	inside := r.mountRoot(top)
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := "/proc/" + e.Name()
		if ns, err := os.Readlink(r.path(dir + "/ns/net")); err != nil || ns != home {
			continue
		}
		exe, err := os.Readlink(r.path(dir + "/exe"))
		if err != nil {
			continue // a kernel thread, or it has ended
		}
		all = append(all, Process{PID: pid, Program: filepath.Base(strings.TrimSuffix(exe, " (deleted)")),
			Cgroup: cgroupDir(string(r.readVirtual(dir+"/cgroup")), top, inside)})
	}
	return all
}

// mountRoot is what is mounted at the root of cgroup v2 as we see it: "/" but in some containers.
func (r root) mountRoot(top string) string {
	for line := range strings.Lines(string(r.readVirtual("/proc/self/mountinfo"))) {
		mount, rest, _ := strings.Cut(line, " - ")
		if f := strings.Fields(mount); strings.HasPrefix(rest, "cgroup2 ") && len(f) > 4 && f[4] == top {
			return f[3]
		}
	}
	return "/"
}

// cgroupDir is the directory of the cgroup that /proc/PID/cgroup tells; empty: none that is seen here.
func cgroupDir(text, top, inside string) string {
	for line := range strings.Lines(text) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		path = strings.TrimSuffix(path, " (deleted)")
		below, ok := strings.CutPrefix(path, strings.TrimSuffix(inside, "/"))
		if !ok || strings.HasPrefix(path, "/..") || top == "" {
			return ""
		}
		return filepath.Join(top, below)
	}
	return ""
}

// within tells whether a directory is another one, or below it.
func within(dir, above string) bool {
	return dir == above || strings.HasPrefix(dir, strings.TrimSuffix(above, "/")+"/")
}

// HoldersOf finds who has programs of the kernel open, by their numbers.
func HoldersOf(programs []uint32) map[uint32]string { return root("/").holders(programs) }

func (r root) holders(programs []uint32) map[uint32]string {
	found := map[uint32]string{}
	programs = slices.DeleteFunc(slices.Clone(programs), func(id uint32) bool { return id == 0 })
	if len(programs) == 0 {
		return found
	}
	entries, err := os.ReadDir(r.path("/proc"))
	if err != nil {
		return found
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		fds, err := os.ReadDir(r.path("/proc/" + e.Name() + "/fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			id := r.program("/proc/"+e.Name(), fd.Name())
			if found[id] == "" && slices.Contains(programs, id) {
				exe, _ := os.Readlink(r.path("/proc/" + e.Name() + "/exe"))
				found[id] = fmt.Sprintf("%s (pid %s)", filepath.Base(strings.TrimSuffix(exe, " (deleted)")), e.Name())
			}
		}
	}
	return found
}

// program is the program that a descriptor is of, or of whose attachment; 0: of none.
func (r root) program(dir, fd string) uint32 {
	what, err := os.Readlink(r.path(dir + "/fd/" + fd))
	if err != nil || !strings.Contains(what, "bpf") {
		return 0
	}
	for line := range strings.Lines(string(r.readVirtual(dir + "/fdinfo/" + fd))) {
		if value, ok := strings.CutPrefix(line, "prog_id:"); ok {
			id, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return uint32(id)
		}
	}
	return 0
}

// TunHolders finds who has tun and tap devices open: the devices' names by process.
func TunHolders() map[uint32][]string { return root("/").tunHolders() }

func (r root) tunHolders() map[uint32][]string {
	found := map[uint32][]string{}
	entries, err := os.ReadDir(r.path("/proc"))
	if err != nil {
		return found
	}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		dir := "/proc/" + e.Name()
		fds, err := os.ReadDir(r.path(dir + "/fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if what, err := os.Readlink(r.path(dir + "/fd/" + fd.Name())); err != nil || what != "/dev/net/tun" && what != "/dev/tun" {
				continue
			}
			for line := range strings.Lines(string(r.readVirtual(dir + "/fdinfo/" + fd.Name()))) {
				if name, ok := strings.CutPrefix(line, "iff:"); ok {
					found[uint32(pid)] = append(found[uint32(pid)], strings.TrimSpace(name))
				}
			}
		}
	}
	return found
}
