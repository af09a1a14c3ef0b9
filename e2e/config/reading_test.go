package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// Who reads a listing slowly, in a pager, keeps nobody else waiting.
func TestSlowReader(t *testing.T) {
	s := startedSite(t)
	a := s.MustAgent(lab.AgentOptions{})
	s.must("rule", "add", "test", "vpn0")
	for i := range 100 {
		name := fmt.Sprintf("number-%d.of-a-name-that-is-somewhat-long.test", i)
		s.MustHost(name)
		check(t, via.Learn(a, name))
	}
	for _, command := range []string{"rdns", "decision"} {
		r, w, err := os.Pipe()
		check(t, err)
		_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
		check(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		cmd := s.HostCommand(ctx, harness.Binary(t), "--config=none", command)
		cmd.Stdout = w
		check(t, cmd.Start())
		check(t, w.Close())
		s.waitFull(r)
		s.must("rule", "add", command+".test", "block") // which gives up where the lock is held
		check(t, r.Close())
		_ = cmd.Wait() // it was cut off
		cancel()
	}
}

// waitFull waits until a pipe's writer has to.
func (s *site) waitFull(r *os.File) {
	s.t.Helper()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ); err == nil && n > 3900 {
			return
		}
	}
	s.t.Fatal("there is too little to read")
}

// What cannot be printed is done all the same, and said.
func TestFullOutput(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "rules: [{match: a.test, target: vpn0}]\n")
	for _, args := range [][]string{{"apply"}, {"apply", "-o", "json"}} {
		s.with("# no rules", "apply", "-f", "-")
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		check(t, err)
		cmd := s.HostCommand(context.Background(), harness.Binary(t), append([]string{"--config", s.path("config.yaml")}, args...)...)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr = full, &errs
		err = cmd.Run()
		check(t, full.Close())
		if err == nil || cmd.ProcessState.ExitCode() != 3 || !strings.Contains(errs.String(), "applied; added: 1") ||
			!strings.Contains(errs.String(), "the output is lost, and nothing else") {
			t.Errorf("%q: %v, %s", args, err, errs.String())
		}
		if got := s.rules(); got != "a.test vpn0\n" {
			t.Errorf("%s", got)
		}
	}
}

// What was added and saved while another save read lists is not lost when that one writes.
func TestSavedMeanwhile(t *testing.T) {
	s := startedSite(t)
	var list strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&list, "n%d.test\n", i)
	}
	s.write("list", list.String())
	s.write("config.yaml", "lists: [{file: list, format: plain, match: suffix, target: block}]\n")
	s.must("apply")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	slow := s.HostCommand(ctx, harness.Binary(t), "--config", s.path("config.yaml"), "rule", "save")
	check(t, slow.Start())
	s.waitOpen(slow.Process.Pid, s.path("list"))
	check(t, slow.Process.Signal(unix.SIGSTOP))
	s.must("rule", "add", "new.test", "vpn0")
	s.must("rule", "save")
	check(t, slow.Process.Signal(unix.SIGCONT))
	check(t, slow.Wait())
	if st := s.state(); st.Configuration.Differs || st.Rules != 300_001 {
		t.Errorf("%+v", st)
	}
}

// waitOpen waits until a process has a file open.
func (s *site) waitOpen(pid int, file string) {
	s.t.Helper()
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		check(s.t, err)
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil && to == file {
				return
			}
		}
	}
	s.t.Fatal("it does not open " + file)
}

// A configuration that was named and is not there is told by status, too.
func TestStatusOfNone(t *testing.T) {
	s := startedSite(t)
	if st := s.state(); !strings.Contains(st.Configuration.Error, "there is no configuration") {
		t.Errorf("%+v", st)
	}
}

// What looks like a part of the configuration and is not read is told.
func TestYml(t *testing.T) {
	s := startedSite(t)
	s.write("config.yml", "rules: [{match: a.test, target: vpn0}]\n")
	s.write("config.d/10-more.yml", "rules: [{match: b.test, target: vpn0}]\n")
	want := "warning: " + s.path("config.yml") + " is not read; call it " + s.path("config.yaml") + "\n"
	s.fails(2, want, "apply")
	s.write("config.d/20-read.yaml", "rules: [{match: c.test, target: vpn0}]\n")
	r := s.must("apply")
	if !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "10-more.yml is not read; call it ") || s.rules() != "c.test vpn0\n" {
		t.Errorf("%s", r.Stderr)
	}
}
