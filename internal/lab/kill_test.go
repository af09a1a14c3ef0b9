package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// holdLab makes a lab with programs of other users in it, tells about it on standard output, and waits to be killed.
func holdLab() {
	l, err := New(Options{})
	if err == nil {
		_, err = l.Agent(AgentOptions{UID: 65534})
	}
	if err == nil {
		_, err = l.StartDnsmasq()
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = nil
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("held", l.Cgroup, l.Dir, l.Client.ID(), l.Internet.ID())
	select {}
}

func TestKilledLabLeavesNothing(t *testing.T) {
	newLab(t, Options{}).Close() // sweeps what others left
	links := hostLinks(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envHold+"=1")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	held := strings.Fields(line)
	if len(held) != 5 || held[0] != "held" {
		t.Fatalf("child says %q", line)
	}
	cgroup, dir, namespaces := held[1], held[2], held[3:]
	if len(holders(t, namespaces)) == 0 {
		t.Fatal("the search for namespaces finds none even while they exist")
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed: that is the point
	check(t, await("namespaces to be gone", func() (bool, error) { return len(holders(t, namespaces)) == 0, nil }))

	check(t, newLab(t, Options{}).Close())
	for _, gone := range []string{cgroup, dir} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	if after := hostLinks(t); after != links {
		t.Errorf("links of the host: %s, were %s", after, links)
	}
}

// holders lists threads in, and open descriptors of, the network namespaces.
func holders(t *testing.T, namespaces []string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
		paths, err := filepath.Glob(pattern)
		check(t, err)
		for _, p := range paths {
			target, err := os.Readlink(p)
			if err != nil {
				continue // ended meanwhile
			}
			for _, ns := range namespaces {
				if target == ns {
					found = append(found, p)
				}
			}
		}
	}
	return found
}

func hostLinks(t *testing.T) string {
	t.Helper()
	ifs, err := net.Interfaces()
	check(t, err)
	names := make([]string, len(ifs))
	for i, n := range ifs {
		names[i] = n.Name
	}
	return strings.Join(names, " ")
}
