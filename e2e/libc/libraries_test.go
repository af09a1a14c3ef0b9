package libc

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

type status struct {
	State     string
	Observers []string
	Warnings  []string
	Libraries []struct {
		Path      string
		PID       int
		Attached  bool
		Functions []string
	}
}

func inspect(h *harness.Host) status {
	var s status
	h.JSON(&s, "status")
	return s
}

// glibcPath is where the system's own library is.
func glibcPath(t *testing.T, h *harness.Host) string {
	t.Helper()
	for _, l := range inspect(h).Libraries {
		if filepath.Base(l.Path) == "libc.so.6" && l.Attached && len(l.Functions) == len(functions) {
			if l.PID != 0 || !slices.IsSorted(l.Functions) {
				t.Errorf("status tells %+v", l)
			}
			return l.Path
		}
	}
	t.Fatalf("no glibc is observed: %+v", inspect(h).Libraries)
	return ""
}

// TestReplaced: a package's upgrade brings a library with another inode. Processes that still map the old one go on.
func TestReplaced(t *testing.T) {
	h := started(t)
	first, second := h.MustHost(), h.MustHost()
	hosts(t, h, map[string]lab.Host{"www.ruled.example": first})
	h.Must("rule", "add", "ruled.example", "vpn0")
	p := glibc(t, h)
	g, got := p.stay(t, "getaddrinfo", "www.ruled.example")
	wantBy(t, h, got, "vpn0", first.Addr4, first.Addr6)
	path := glibcPath(t, h)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetFile(path, string(text)); err != nil {
		t.Fatal(err)
	}
	wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "wan0", first.Addr4, first.Addr6)
	s := inspect(h)
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], path+" is not observed") || !strings.HasSuffix(s.Warnings[0], "; mend it: domain-route start") {
		t.Errorf("status warns: %q", s.Warnings)
	}
	h.Must("start")
	if s := inspect(h); s.State != "started" || len(s.Warnings) > 0 {
		t.Errorf("after start: %+v", s)
	}
	wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "vpn0", first.Addr4, first.Addr6)
	hosts(t, h, map[string]lab.Host{"www.ruled.example": second})
	wantBy(t, h, g.again(t), "vpn0", first.Addr4, first.Addr6, second.Addr4, second.Addr6)
}

// TestCarried: a library that nobody installed, in the place of a container that shares the network.
func TestCarried(t *testing.T) {
	h := harness.New(t, lab.Options{})
	h.Must("start", "--cgroup", h.Cgroup)
	if err := h.SetNSSwitch("files"); err != nil {
		t.Fatal(err)
	}
	s := h.MustHost()
	hosts(t, h, map[string]lab.Host{"www.ruled.example": s})
	h.Must("rule", "add", "ruled.example", "vpn0")
	text, err := os.ReadFile(glibcPath(t, h))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(h.Dir, "a\x1b[2J")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	carried := filepath.Join(dir, "libc.so.6")
	if err := os.WriteFile(carried, text, 0o755); err != nil {
		t.Fatal(err)
	}
	p := glibc(t, h)
	p.env = []string{"LD_LIBRARY_PATH=" + dir}
	g, got := p.stay(t, "getaddrinfo", "www.ruled.example")
	wantBy(t, h, got, "wan0", s.Addr4, s.Addr6)
	of := fmt.Sprintf(" of process %d", g.cmd.Process.Pid)
	if w := inspect(h).Warnings; len(w) != 1 || !strings.HasPrefix(w[0], carried+of+" is not observed: it is new (domain-route start)") {
		t.Errorf("status warns: %q", w)
	}
	if r := h.Run("status", "--all"); strings.Contains(r.Stdout+r.Stderr, "\x1b") || !strings.Contains(r.Stderr, "libc.so.6"+of+" is not observed") ||
		!strings.Contains(r.Stdout, "libc.so.6"+of+": 0 functions (not attached)\n") {
		t.Errorf("status prints %q, %q", r.Stdout, r.Stderr)
	}
	if err := os.Remove(carried); err != nil {
		t.Fatal(err)
	}
	h.Must("start")
	wantBy(t, h, g.again(t), "vpn0", s.Addr4, s.Addr6)
	if w := inspect(h).Warnings; len(w) > 0 {
		t.Errorf("status warns: %q", w)
	}
}

//go:embed testdata/trap.c
var trap string

// TestUnobservable: where the kernel takes no probe, no warning promises that start mends it. Two processes that map
// different files by the same path are told apart.
func TestUnobservable(t *testing.T) {
	h := started(t)
	from, to := filepath.Join(h.Dir, "trap.c"), filepath.Join(h.Dir, "libc.so.6")
	if err := os.WriteFile(from, []byte(trap), 0o644); err != nil {
		t.Fatal(err)
	}
	compiler := kit.Tool(t, "gcc")
	p := glibc(t, h)
	p.env = []string{"LIAR=" + to, "ADDRESS=192.0.2.1"}
	want := map[int]bool{}
	for range 2 {
		if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if out, err := exec.Command(compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", to, from).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		g, _ := p.stay(t, "liar", "www.evil.example")
		want[g.cmd.Process.Pid] = true
	}
	of := regexp.MustCompile(`/libc\.so\.6(?: \(deleted\))? of process (\d+) is not observed: .*; restart the program that uses it, or leave it\n`)
	r := h.Run("start")
	if m := of.FindAllString(r.Stderr, -1); r.Code != 0 || len(m) != 2 {
		t.Errorf("start: exit %d, %q", r.Code, r.Stderr)
	}
	s, got := inspect(h), map[int]bool{}
	for _, l := range s.Libraries {
		if l.PID != 0 && !l.Attached {
			got[l.PID] = true
		}
	}
	if !maps.Equal(got, want) || len(s.Warnings) != 2 {
		t.Errorf("not observed: %v, want %v: %q", got, want, s.Warnings)
	}
	for _, w := range s.Warnings {
		if strings.Contains(w, "mend it") || !strings.HasSuffix(w, "or cannot be: restart the program that uses it, or leave it") {
			t.Errorf("status warns: %q", w)
		}
	}
}

// TestManyLibraries: a user's libraries beyond the limit are not observed, and start and status say so.
func TestManyLibraries(t *testing.T) {
	h := started(t)
	text, err := os.ReadFile(glibcPath(t, h))
	if err != nil {
		t.Fatal(err)
	}
	p := glibc(t, h)
	for i := range 9 {
		dir := filepath.Join(h.Dir, strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "libc.so.6")
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, user, user); err != nil {
			t.Fatal(err)
		}
		p.env = []string{"LD_LIBRARY_PATH=" + dir}
		p.stay(t, "getaddrinfo", "127.0.0.1")
	}
	const want = "1 more C libraries of programs are not observed: at most 8 of each user are"
	if r := h.Run("start"); r.Code != 0 || !strings.Contains(r.Stderr, want+"\n") {
		t.Errorf("start: exit %d, %q", r.Code, r.Stderr)
	}
	if s := inspect(h); !slices.Equal(s.Warnings, []string{want}) {
		t.Errorf("status warns: %q", s.Warnings)
	}
}

// TestUpdate: the programs are replaced under the eyes of a program that goes on, again and again.
func TestUpdate(t *testing.T) {
	h := started(t)
	s := h.MustHost()
	hosts(t, h, map[string]lab.Host{"www.ruled.example": s})
	h.Must("rule", "add", "ruled.example", "vpn0")
	p := glibc(t, h)
	for range 5 {
		h.Must("start")
		wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "vpn0", s.Addr4, s.Addr6)
	}
	if n := ours(t, h); n != 2 {
		// The former ones end a moment later.
		await(t, "the former programs to go", func() bool { return ours(t, h) == 2 })
	}
	nothingBy(t, h, "wan0", s.Addr4, s.Addr6)
}

// TestUpdateDuringCall: a call that was under way when the programs were replaced teaches as any other.
func TestUpdateDuringCall(t *testing.T) {
	h := harness.Started(t, "--observe", "libc")
	s := h.MustHost()
	h.Must("rule", "add", "ruled.example", "vpn0")
	asked, release := make(chan struct{}, 16), make(chan struct{})
	h.DNS.Handle("www.ruled.example", func(q *dns.Msg, _ string) *dns.Msg {
		asked <- struct{}{}
		<-release
		r := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: s.Addr4.AsSlice()}}
		}
		return r
	})
	p := glibc(t, h)
	cmd := p.command(t.Context(), user, "getaddrinfo", "www.ruled.example", strconv.Itoa(lab.EchoPort))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	h.Must("start")
	close(release)
	got, err := readVisits(bufio.NewReader(out))
	if err != nil || cmd.Wait() != nil {
		t.Fatal(err)
	}
	wantBy(t, h, got, "vpn0", s.Addr4)
}

// TestStop: nothing is left in the kernel, and so nothing at the library.
func TestStop(t *testing.T) {
	h := started(t)
	if n := ours(t, h); n != 2 {
		t.Errorf("%d programs are there", n)
	}
	id := statesID(t)
	h.Must("stop")
	await(t, "the programs to go", func() bool { return programsOn(t, id) == 0 })
}

// TestObservers: `sockets` alone has no probes, `libc` alone has.
func TestObservers(t *testing.T) {
	h := started(t, "--observe", "sockets")
	if s := inspect(h); !slices.Equal(s.Observers, []string{"sockets"}) || len(s.Libraries) > 0 || ours(t, h) != 0 {
		t.Errorf("sockets: %+v, %d programs", s, ours(t, h))
	}
	h.Must("start", "--observe", "libc")
	if s := inspect(h); !slices.Equal(s.Observers, []string{"libc"}) || len(s.Libraries) == 0 || ours(t, h) != 2 {
		t.Errorf("libc: %+v, %d programs", s, ours(t, h))
	}
	h.Must("start", "--observe", "sockets")
	await(t, "the probes to go", func() bool { return ours(t, h) == 0 })
}

// TestNoUprobes: on a kernel without, start goes on without the observer, and says so; asked for it refuses.
func TestNoUprobes(t *testing.T) {
	h := harness.New(t, lab.Options{})
	const devices = "/sys/bus/event_source/devices"
	if err := unix.Mount("none", devices, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(devices, unix.MNT_DETACH) })
	r := h.Run("start", "--cgroup", h.Cgroup, "--observe", "sockets", "--observe", "libc")
	if r.Code != 3 || !strings.Contains(r.Stderr, "CONFIG_UPROBE_EVENTS") || !strings.HasSuffix(r.Stderr, "; observe without it: domain-route start --observe sockets\n") {
		t.Errorf("asked for: exit %d, %q", r.Code, r.Stderr)
	}
	for _, action := range []string{"started", "updated"} {
		var data struct {
			Action              string
			Observers, Warnings []string
		}
		r := h.JSON(&data, "start", "--cgroup", h.Cgroup)
		warned := len(data.Warnings) == 1 && strings.Contains(data.Warnings[0], "CONFIG_UPROBE_EVENTS")
		if r.Code != 0 || data.Action != action || !slices.Equal(data.Observers, []string{"sockets"}) || warned != (action == "started") {
			t.Errorf("by default: exit %d, %+v", r.Code, data)
		}
	}
	if s := inspect(h); s.State != "started" || len(s.Warnings) > 0 {
		t.Errorf("status: %+v", s)
	}
}

// await waits for a condition.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func statesID(t *testing.T) ebpf.MapID {
	t.Helper()
	m, err := ebpf.LoadPinnedMap("/sys/fs/bpf/domain-route/live/maps/states", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	return id
}

// ours counts the probes' programs of this system.
func ours(t *testing.T, _ *harness.Host) int {
	t.Helper()
	return programsOn(t, statesID(t))
}

// programsOn counts the programs of the observer `libc` that use a map: others on this machine have the same names.
func programsOn(t *testing.T, id ebpf.MapID) int {
	t.Helper()
	n := 0
	for at := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(at)
		if errors.Is(err, os.ErrNotExist) {
			return n
		}
		if err != nil {
			t.Fatal(fmt.Errorf("list the programs: %w", err))
		}
		at = next
		p, err := ebpf.NewProgramFromID(at)
		if err != nil {
			continue // gone meanwhile
		}
		info, err := p.Info()
		p.Close()
		if err != nil {
			continue
		}
		if maps, ok := info.MapIDs(); ok && strings.HasPrefix(info.Name, "libc_") && slices.Contains(maps, id) {
			n++
		}
	}
}
