package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// measureStart times whole processes, and looks at what is left of them.
func (b *bench) measureStart() error {
	w, err := b.newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	start := []string{"start", "--cgroup", w.Cgroup}
	var cold, warm, stop, share []float64
	for range b.starts {
		for _, times := range []*[]float64{&cold, &warm} {
			if times == &cold {
				if err := evict(b.bin); err != nil {
					return err
				}
				part, err := cached(b.bin)
				if err != nil {
					return err
				}
				share = append(share, part)
			}
			t, err := w.timed(start...)
			if err != nil {
				return err
			}
			*times = append(*times, t)
			if t, err = w.timed("stop"); err != nil {
				return err
			}
			stop = append(stop, t)
		}
	}
	b.report.add(
		summary(row{ID: "start.cold", What: "start, cold, whole process", Unit: "s", Limit: atMost(0.3), Note: fmt.Sprintf("%.0f %% of the binary in the page cache before", 100*median(share))}, cold),
		summary(row{ID: "start.warm", What: "start, whole process", Unit: "s", Note: "the binary is in the page cache"}, warm),
		summary(row{ID: "stop", What: "stop, whole process", Unit: "s"}, stop),
	)
	if _, err := w.command(start...); err != nil {
		return err
	}
	s := &steeredWorld{world: w}
	if err := b.reportRuleAdd(s, "rule.add", "rule add, whole process", b.starts); err != nil {
		return err
	}
	all, err := w.loadedPrograms()
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, p := range all {
		ids[fmt.Sprint(p.ID)] = true
	}
	if err := b.reportLeft(ids); err != nil {
		return err
	}
	return b.reportVerified(all)
}

// timed runs domain-route and returns how long the process took, in seconds.
func (w *world) timed(args ...string) (float64, error) {
	began := time.Now()
	_, err := w.command(args...)
	return time.Since(began).Seconds(), err
}

// evict takes a file out of the page cache.
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not written yet cannot go
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// cached is which share of a file is in the page cache: pages that another process has mapped cannot be evicted.
func cached(path string) (float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("map %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(b) }()
	page := os.Getpagesize()
	vec := make([]byte, (len(b)+page-1)/page)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&vec[0]))); errno != 0 {
		return 0, fmt.Errorf("look into the page cache: %w", errno)
	}
	n := 0
	for _, v := range vec {
		n += int(v & 1)
	}
	return float64(n) / float64(len(vec)), nil
}

func (b *bench) reportRuleAdd(s *steeredWorld, id, what string, n int) error {
	var times []float64
	for i := range n {
		t, err := s.timed("rule", "add", fmt.Sprintf("added%d.test", i), "direct")
		if err != nil {
			return err
		}
		times = append(times, t)
	}
	b.report.add(summary(row{ID: id, What: what, Unit: "s"}, times))
	return nil
}

// reportLeft looks for processes that run the binary, or hold one of the programs open.
func (b *bench) reportLeft(programs map[string]bool) error {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	left := 0
	var memory uint64
	for _, dir := range entries {
		exe, err := os.Readlink(dir + "/exe")
		if err != nil {
			continue // gone, or a thread of the kernel
		}
		if strings.TrimSuffix(exe, " (deleted)") == b.bin || holds(dir, programs) {
			left++
			memory += resident(dir)
		}
	}
	b.report.add(
		row{ID: "left.processes", What: "processes left running", Rounds: 1, Value: float64(left), Limit: atMost(0),
			Note: fmt.Sprintf("%d looked at: the binary, or one that holds a program open", len(entries))},
		row{ID: "left.memory", What: "their memory in user space", Unit: "MB", Rounds: 1, Value: float64(memory) / 1e6, Limit: atMost(0)},
	)
	return nil
}

// holds tells whether a process has one of the programs, or a link of one, open.
func holds(dir string, programs map[string]bool) bool {
	files, _ := filepath.Glob(dir + "/fdinfo/*")
	for _, file := range files {
		info, _ := os.ReadFile(file) // closed meanwhile: not held
		for line := range strings.Lines(string(info)) {
			if id, ok := strings.CutPrefix(line, "prog_id:"); ok && programs[strings.TrimSpace(id)] {
				return true
			}
		}
	}
	return false
}

// resident is the resident memory of a process in bytes.
func resident(dir string) uint64 {
	b, _ := os.ReadFile(dir + "/statm")
	var size, pages uint64
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// loadedProgram is what status says of one.
type loadedProgram struct {
	Name     string  `json:"name"`
	ID       uint32  `json:"id"`
	Verified float64 `json:"verified_instructions"`
}

func (w *world) loadedPrograms() ([]loadedProgram, error) {
	out, err := w.command("status", "-o", "json")
	if err != nil {
		return nil, err
	}
	var status struct {
		Data struct {
			Programs []loadedProgram `json:"programs"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	if len(status.Data.Programs) == 0 {
		return nil, fmt.Errorf("status lists no programs: %s", out)
	}
	return status.Data.Programs, nil
}

// reportVerified lists the instructions that the verifier walked on this kernel.
func (b *bench) reportVerified(all []loadedProgram) error {
	for _, p := range all {
		if p.Verified == 0 || p.ID == 0 {
			return fmt.Errorf("the kernel does not say what the verifier walked of %s", p.Name)
		}
		b.report.add(row{ID: "verifier." + p.Name, What: "instructions verified, " + p.Name, Rounds: 1, Value: p.Verified, Limit: atMost(100_000)})
	}
	return nil
}
