package dataplane

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// findCgroup returns the root of cgroup v2, wherever it is mounted: hybrid hosts have it elsewhere than at
// /sys/fs/cgroup.
func findCgroup() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("read the mounts: %w", err)
	}
	defer f.Close()
	best := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		root, dir, ok := cgroup2Mount(sc.Text())
		// Another mount may hide this one.
		if ok && isCgroup2(dir) && (best == "" || root == "/") {
			best = dir
			if root == "/" {
				break
			}
		}
	}
	if best == "" {
		return "", refusedf("mount it: mount -t cgroup2 none /mnt", "cgroup v2 is not mounted anywhere")
	}
	return best, nil
}

func isCgroup2(dir string) bool {
	var on unix.Statfs_t
	if err := unix.Statfs(dir, &on); err != nil || on.Type != unix.CGROUP2_SUPER_MAGIC {
		return false
	}
	st, err := os.Stat(dir)
	return err == nil && st.IsDir()
}

// cgroup2Mount reads one line of mountinfo, see proc_pid_mountinfo(5).
func cgroup2Mount(line string) (root, dir string, ok bool) {
	mount, rest, found := strings.Cut(line, " - ")
	fields := strings.Fields(mount)
	if !found || len(fields) < 5 || !strings.HasPrefix(rest, "cgroup2 ") {
		return "", "", false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return fields[3], unescape.Replace(fields[4]), true
}

// resolveCgroup returns the cgroup v2 directory to attach to: dir, or the root if dir is empty.
func resolveCgroup(dir string) (string, error) {
	abs, err := findCgroup()
	if dir != "" {
		if abs, err = filepath.Abs(dir); err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNotCgroup, err)
		}
	}
	if err != nil {
		return "", err
	}
	if !isCgroup2(abs) {
		return "", fmt.Errorf("%w: %s", ErrNotCgroup, abs)
	}
	if len(abs) >= len(learnState{}.Cgroup) {
		return "", fmt.Errorf("%w: its path is longer than %d bytes: %s", ErrNotCgroup, len(learnState{}.Cgroup)-1, abs)
	}
	return abs, nil
}

// cgroupIDs are those of the cgroup to attach to, and of the root that is mounted, where the paths of conditions begin.
func cgroupIDs(dir string) (attached, top uint64, err error) {
	root, err := findCgroup()
	if err != nil {
		return 0, 0, err
	}
	if attached, err = cgroupID(dir); err != nil {
		return 0, 0, err
	}
	top, err = cgroupID(root)
	return attached, top, err
}

// findTop tells where a cgroup is in /proc/PID/cgroup as we see it, given that it is mounted as a whole; empty: it is not.
func findTop(id uint64) (string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("read the mounts: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		root, dir, ok := cgroup2Mount(line)
		if !ok || !isCgroup2(dir) {
			continue
		}
		if at, err := cgroupID(dir); err == nil && at == id {
			return root, nil
		}
	}
	return "", nil
}

// cgroupBelow makes the path of a cgroup, as /proc/PID/cgroup has it, into one that begins at `top`; empty: it is not below.
func cgroupBelow(top, path string) string {
	rest, below := strings.CutPrefix(path, strings.TrimSuffix(top, "/"))
	switch {
	case !below || top == "" || strings.HasPrefix(rest, "/.."):
		return ""
	case rest == "":
		return "/"
	case rest[0] != '/':
		return ""
	}
	return rest
}

// cgroupOf is the path of a process's cgroup below `top`; empty: it has none there, or is gone.
func cgroupOf(pid uint32, top string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return cgroupBelow(top, path)
		}
	}
	return ""
}

// cgroupID is what programs know a cgroup by: the inode number of its directory.
func cgroupID(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("look at the cgroup %s: %w", dir, err)
	}
	return st.Ino, nil
}
