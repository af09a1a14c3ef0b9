package procs

import (
	"bytes"
	"fmt"
	"os"
)

// Of finds a process by its number, or by that of one of its threads: ErrEnded if there is none. FD means nothing.
func Of(pid uint32) (Process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	p, err := process(dir, pid)
	if gone(err) {
		return p, ErrEnded
	}
	if err != nil {
		return p, err
	}
	status, err := os.ReadFile(dir + "/status")
	if gone(err) {
		return p, ErrEnded
	}
	_, group, _ := bytes.Cut(status, []byte("\nTgid:\t"))
	var leader uint32
	if _, err := fmt.Sscan(string(group), &leader); err != nil {
		return p, fmt.Errorf("read the status of process %d: %w", pid, err)
	}
	if leader != pid {
		return Of(leader)
	}
	return p, nil
}
