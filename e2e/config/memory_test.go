package config

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/testlist"
)

// mostMemory is what a command may take for a million names, in bytes.
const mostMemory = 300_000_000

// peak runs a command and returns the most memory it had.
func (s *site) peak(args ...string) int64 {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := s.HostCommand(ctx, harness.Binary(s.t), append([]string{"--config", s.path("config.yaml")}, args...)...)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	check(s.t, err)
	defer null.Close()
	cmd.Dir = s.dir
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = null, &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%q: %v\n%s", args, err, errs.String())
	}
	most := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	s.t.Logf("%q: %d MB, %v", args, most/1e6, time.Since(began).Round(10*time.Millisecond))
	return most
}

// namesEnv makes this program print a list of a million names, the first or the second million of a seed. A process of its own does
// so: a command's most memory is at least what its parent had when it began.
const namesEnv = "DOMAIN_ROUTE_TEST_NAMES"

func writeNames() {
	const million = 1_000_000
	names := testlist.New(1)
	if os.Getenv(namesEnv) == "second" {
		names.Take(million)
	}
	w := bufio.NewWriter(os.Stdout)
	for _, n := range names.Take(million) {
		fmt.Fprintln(w, n)
	}
	if w.Flush() != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func (s *site) million(which string) {
	s.t.Helper()
	f, err := os.Create(s.path("names"))
	check(s.t, err)
	defer f.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.Stdout = append(os.Environ(), namesEnv+"="+which), f
	check(s.t, cmd.Run())
}

// With a million names no command takes more than 300 MB: neither the first load, nor the change to a million others, nor by
// the cache.
func TestMemory(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "lists: [{file: names, format: plain, match: suffix, target: vpn0}]\n")
	for i, args := range [][]string{{"apply"}, {"apply"}, {"apply"}, {"apply", "--dry-run"}, {"rule", "list"}, {"rule", "add", "one.more.test", "vpn0"},
		{"rule", "save"}, {"start"}, {"status"}, {"metrics"}, {"status", "-o", "json"}, {"export", "--format=plain", "-o", "json"},
		{"import", "names", "--format=plain", "--match=suffix", "--target=vpn0"}, {"rule", "list"}} {
		switch {
		case i == 0, args[0] == "import":
			s.million("first") // by import on top of the million that runs
		case i == 2:
			s.million("second")
		}
		if most := s.peak(args...); most > mostMemory {
			t.Errorf("%q takes %d MB", args, most/1e6)
		}
	}
}
