package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// machine is where a run took place.
type machine struct {
	Kernel  string `json:"kernel"`
	CPU     string `json:"cpu"`
	CPUs    int    `json:"cpus"`
	Memory  uint64 `json:"memory_mb"`
	Virtual bool   `json:"virtual"`
	Load    string `json:"load"` // of one minute, at the start and at the end
	// Foreign counts the socket programs of others before or after: with any, no round is wholly without programs.
	Foreign int `json:"foreign_programs"`
}

func (m machine) String() string {
	kind := "on metal"
	if m.Virtual {
		kind = "virtual"
	}
	return fmt.Sprintf("Linux %s, %d x %s (%s), %d MB; load %s; %d socket programs of others",
		m.Kernel, m.CPUs, m.CPU, kind, m.Memory, m.Load, m.Foreign)
}

func describeMachine() machine {
	m := machine{CPUs: runtime.NumCPU(), Foreign: foreignPrograms()}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:]) + " " + unix.ByteSliceToString(uts.Machine[:])
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	m.Virtual = bytes.Contains(info, []byte(" hypervisor"))
	m.Memory = meminfo("MemTotal") >> 20
	m.Load = load()
	return m
}

// ended adds what the end of the run shows.
func (m *machine) ended() {
	m.Load += " .. " + load()
	m.Foreign = max(m.Foreign, foreignPrograms())
}

func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// meminfo is one field of /proc/meminfo in bytes; 0 if it is not there.
func meminfo(field string) uint64 {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		var kb uint64
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			if _, err := fmt.Sscan(rest, &kb); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

// foreignPrograms counts the loaded programs that run for sockets in cgroups. They turn on the hooks of every cgroup.
func foreignPrograms() int {
	n := 0
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			return n
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		switch p.Type() {
		case ebpf.CGroupSKB, ebpf.CGroupSockAddr, ebpf.CGroupSock:
			n++
		}
		p.Close()
	}
}
