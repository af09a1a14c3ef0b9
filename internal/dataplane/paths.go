// Package dataplane owns everything in the kernel: programs, maps, links, and their pins. It alone imports
// cilium/ebpf, and no type of that package leaves it.
package dataplane

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Everything that is pinned lives below one directory, which is also what commands lock.
//
//	/sys/fs/bpf/domain-route/               root's, 0700: the lock
//	    live/maps/NAME                      every map
//	    live/links/NAME                     one link for each hook
//	    live/libc/FILE_PLACES_END           one link for each end of functions of a C library
//	    live/text/GENERATION                the rule set's text, deflated
//	    live/clsact/INDEX_FORM              interfaces that got a filter (kernels below 6.6)
//	    staging_PID/...                     a start under way, or what a killed one left
//	    trash_PID/...                       a stop under way, or what a killed one left
//
// Names must not contain dots: bpffs refuses them.
const (
	bpffs = "/sys/fs/bpf"
	base  = bpffs + "/domain-route"
	live  = base + "/live"
)

const (
	stagingPrefix = "staging_"
	trashPrefix   = "trash_"
)

// tree is a directory of pins: live, or one on its way to be or away from being it.
type tree string

func (t tree) dirs() []string {
	return []string{string(t), t.dir("maps"), t.dir("links"), t.dir("libc"), t.dir("text"), t.dir("clsact")}
}

func (t tree) dir(name string) string     { return filepath.Join(string(t), name) }
func (t tree) mapPin(name string) string  { return filepath.Join(string(t), "maps", name) }
func (t tree) linkPin(name string) string { return filepath.Join(string(t), "links", name) }
func (t tree) probePin(name string) string {
	return filepath.Join(string(t), "libc", name)
}
func (t tree) textPin(generation uint32) string {
	return filepath.Join(string(t), "text", fmt.Sprint(generation))
}

// stale tells whether an entry of the base directory is a leftover of a command that was killed. Whoever holds
// the lock may say so: no other command is under way.
func stale(name string) bool {
	return strings.HasPrefix(name, stagingPrefix) || strings.HasPrefix(name, trashPrefix)
}
