package procs

import (
	"bytes"
	"fmt"
	"os"
)

// Parents finds the parents of a process, the nearest first, at most so many, and never the first process of all. A
// process that is gone has none.
func Parents(pid uint32, most int) []uint32 {
	var all []uint32
	for range most {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// Behind the name, which may hold anything: state, parent.
		behind := stat[bytes.LastIndexByte(stat, ')')+1:]
		var state string
		if _, err := fmt.Sscan(string(behind), &state, &pid); err != nil || pid <= 1 {
			break
		}
		all = append(all, pid)
	}
	return all
}
