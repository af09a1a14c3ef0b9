package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Reach is whether the programs in the kernel get to see a process's connections at all.
type Reach string

// Within is that they do; the others why not.
const (
	Within           Reach = ""
	OtherNamespace   Reach = "namespace" // it is in another network namespace than start was
	OutsideOfCgroup  Reach = "cgroup"    // it is outside of the cgroup that is steered
	CgroupIsGone     Reach = "gone"      // that cgroup was removed
	ReachesUnchecked Reach = "unknown"   // it could not be looked at
)

// AttachedTo is the directory of the cgroup that is steered, and its path as conditions have it; "/" is all.
func (s *System) AttachedTo() (dir, path string) {
	dir = s.cgroup()
	root, err := findCgroup()
	if err != nil {
		return dir, ""
	}
	path, below := strings.CutPrefix(dir, strings.TrimSuffix(root, "/"))
	if !below {
		return dir, ""
	}
	return dir, "/" + strings.Trim(path, "/")
}

// Cgroup is the path of a process's cgroup, as conditions have it; empty: it cannot be told.
func (j *Judge) Cgroup(pid uint32) string { return j.who(pid, 0).Cgroup }

// Reaches tells whether the connections of a process are seen. The caller is in the network namespace that is steered.
func (j *Judge) Reaches(pid uint32) (Reach, error) {
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "", fmt.Errorf("ask for the own network namespace: %w", err)
	}
	there, err := os.Readlink(filepath.Join("/proc", fmt.Sprint(pid), "ns/net"))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return ReachesUnchecked, nil
	case err != nil:
		return "", fmt.Errorf("ask for the network namespace of process %d: %w", pid, err)
	case here != there:
		return OtherNamespace, nil
	case j.s.state.CgroupId == rootCgroup:
		return Within, nil
	}
	gone, attached := j.ReachesAny()
	if gone != Within {
		return gone, nil
	}
	if path := j.Cgroup(pid); attached != "" && path != attached && !strings.HasPrefix(path, attached+"/") {
		return OutsideOfCgroup, nil
	}
	return Within, nil
}

// ReachesAny tells whether there are processes whose connections are seen, and below which cgroup; empty: in all, or that it
// cannot be told.
func (j *Judge) ReachesAny() (r Reach, within string) {
	if j.s.state.CgroupId == rootCgroup {
		return Within, ""
	}
	dir, attached := j.s.AttachedTo()
	if id, err := cgroupID(dir); err != nil || id != j.s.state.CgroupId {
		return CgroupIsGone, ""
	}
	return Within, strings.TrimSuffix(attached, "/")
}
