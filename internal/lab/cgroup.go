package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// labPrefix starts the names of cgroups and directories of labs; the owner's pid and pid namespace and a number follow.
const labPrefix = "domain-route-lab-"

var labCount atomic.Int32

// labName is a new name for this process: domain-route-lab-PID.NAMESPACE-N.
func labName() string {
	return fmt.Sprintf("%s%d.%s-%d", labPrefix, os.Getpid(), pidNamespace(), labCount.Add(1))
}

// pidNamespace tells the namespace in which this process's pids mean something, by its inode; "0" if that is unknown.
func pidNamespace() string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return "0"
	}
	return strconv.FormatUint(st.Ino, 10)
}

// CgroupRoot finds where cgroup v2 is mounted.
func CgroupRoot() (string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find cgroup v2: %w", err)
	}
	for line := range strings.Lines(string(info)) {
		mount, source, ok := strings.Cut(line, " - ")
		fields := strings.Fields(mount)
		if ok && len(fields) > 4 && strings.HasPrefix(source, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", errors.New("find cgroup v2: not mounted")
}

// sweep removes, by remove, what labs whose process is gone left in dir. Those of other pid namespaces cannot be told.
func sweep(dir string, remove func(path string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	var errs []error
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), labPrefix)
		owner, _, _ := strings.Cut(rest, "-")
		number, namespace, _ := strings.Cut(owner, ".")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || namespace != pidNamespace() || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		if err := remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove leftover %s: %w", e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// newCgroup makes the lab's sub-cgroup and removes those of labs that were killed.
func newCgroup(name string) (string, error) {
	root, err := CgroupRoot()
	if err != nil {
		return "", err
	}
	if err := sweep(root, removeCgroup); err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cgroup: %w", err)
	}
	return dir, nil
}

// removeCgroup kills everything in the cgroup and below, waits until it is empty, and removes it.
func removeCgroup(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	err := await("cgroup "+dir+" to be empty", func() (bool, error) {
		events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return bytes.Contains(events, []byte("populated 0")), err
	})
	if err != nil {
		return err
	}
	return removeCgroupTree(dir)
}

// removeCgroupTree removes from the leaves up: a cgroup's files cannot be unlinked, so os.RemoveAll does not do.
func removeCgroupTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroupTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(dir)
}
