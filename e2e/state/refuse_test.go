package state

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// Where it cannot work, start says why in one line, exits 3 and leaves nothing, not even a mount.
func TestRefusedByTheHost(t *testing.T) {
	h := harness.New(t, lab.Options{})
	always := func(e unix.Errno) func(int, int) inject.Verdict {
		return func(int, int) inject.Verdict { return inject.Verdict{Errno: e} }
	}
	inLab := []string{"start", "--cgroup", h.Cgroup}
	for name, c := range map[string]struct {
		options inject.Options
		args    []string
		says    string
	}{
		"no BPF":                  {inject.Options{Watch: []int{unix.SYS_BPF}, On: always(unix.ENOSYS)}, inLab, `BPF`},
		"BPF forbidden":           {inject.Options{Watch: []int{unix.SYS_BPF}, On: always(unix.EPERM)}, inLab, `BPF`},
		"old kernel":              {inject.Options{OldKernel: true}, inLab, `kernel 2\.6\.\S+ is too old: .* 6\.1 or later`},
		"cgroup v1 only":          {inject.Options{NoCgroup2: true}, []string{"start"}, `cgroup v2 is not mounted`},
		"bpffs cannot be mounted": {inject.Options{Watch: []int{unix.SYS_MOUNT}, On: always(unix.EPERM)}, inLab, `mount a BPF file system at /sys/fs/bpf`},
		"bpffs is not known":      {inject.Options{Watch: []int{unix.SYS_MOUNT}, On: always(unix.ENODEV)}, inLab, `mount a BPF file system at /sys/fs/bpf`},
		"no directory in bpffs":   {inject.Options{Watch: []int{unix.SYS_MKDIRAT}, On: always(unix.EPERM)}, inLab, `/sys/fs/bpf/domain-route`},
	} {
		t.Run(name, func(t *testing.T) {
			inkernel.Unmount(t)
			r, err := inject.Run(h.Lab, c.options, harness.Binary(t), c.args...)
			check(t, err)
			if r.Code != 3 || !regexp.MustCompile(c.says).MatchString(r.Stderr) {
				t.Errorf("exit %d, %q; want 3 and a line with %s", r.Code, r.Stderr, c.says)
			}
			wantOneLine(t, r)
			inkernel.WantNothing(t, h.Cgroup)
			if n := inkernel.Mounts(t); n != 0 {
				t.Errorf("bpffs is mounted %d times", n)
			}
			start(h) // and where nothing is wrong it works
			h.Must("stop")
		})
	}
}

// Without root every command that needs it says so, and the others work.
func TestWithoutRoot(t *testing.T) {
	h := harness.New(t, lab.Options{})
	bin := filepath.Join(h.Dir, "domain-route") // the tree may be where only root can go
	b, err := os.ReadFile(harness.Binary(t))
	check(t, err)
	check(t, os.WriteFile(bin, b, 0o755))
	start(h)
	h.Must("rule", "add", "secret.test", "vpn0")
	h.MustHost("secret.test")
	check(t, via.Learn(h.MustAgent(lab.AgentOptions{}), "secret.test"))
	unmounted := inkernel.Mounts(t)
	for command, code := range map[string]int{
		"start": 3, "stop": 3, "status": 3, "rule list": 3, "rule add a.test vpn0": 3, "rule del a.test": 3, "rdns": 3, "decision": 3,
		"rdns -o json": 3, "version": 0, "help": 0, "rule --help": 0, "completion bash": 0,
	} {
		t.Run(command, func(t *testing.T) {
			args := strings.Fields(command)
			if command == "start" {
				args = append(args, "--cgroup", h.Cgroup)
			}
			cmd := h.HostCommand(context.Background(), bin, args...).AsUser(65534)
			cmd.Dir = "/"
			var out, errs strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			r := inject.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
			if r.Code != code {
				t.Errorf("exit %d, want %d\n%s%s", r.Code, code, r.Stdout, r.Stderr)
			}
			if code != 3 {
				return
			}
			wantOneLine(t, r)
			if !strings.Contains(r.Stderr, "root") || strings.Contains(r.Stderr, "secret") {
				t.Errorf("says %q", r.Stderr)
			}
		})
	}
	if got := rulesOf(h); got != "secret.test vpn0\n" || inkernel.Mounts(t) != unmounted {
		t.Errorf("afterwards: rules %q, %d mounts", got, inkernel.Mounts(t))
	}
	h.Must("stop")
	inkernel.Unmount(t)
	cmd := h.HostCommand(context.Background(), bin, "start", "--cgroup", h.Cgroup).AsUser(65534)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 3 || inkernel.Mounts(t) != 0 {
		t.Errorf("first start: %v, %s; %d mounts", err, out, inkernel.Mounts(t))
	}
	inkernel.WantNothing(t, h.Cgroup)
}

// A start for another cgroup, or from another network namespace, than the one that is started is refused with the cure.
func TestStartedElsewhere(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("here.test")
	start(h)
	h.Must("rule", "add", "here.test", "vpn0")
	check(t, via.Learn(a, "here.test"))
	sub := filepath.Join(h.Cgroup, "sub")
	check(t, os.Mkdir(sub, 0o755))
	refused := func(r harness.Result) {
		t.Helper()
		if r.Code != 2 || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "domain-route stop") {
			t.Errorf("exit %d, stdout %q, stderr %q; want 2 and the cure", r.Code, r.Stdout, r.Stderr)
		}
		if s := inspect(t, h); s.State != "started" || s.Cgroup != h.Cgroup || len(inkernel.Attached(t, sub)) > 0 {
			t.Errorf("status %+v; attached at %s: %v", s, sub, inkernel.Attached(t, sub))
		}
		wantOut(t, h, a, server, "vpn0")
	}
	r := h.Run("start", "--cgroup", sub)
	refused(r)
	if !strings.Contains(r.Stderr, sub) || !strings.Contains(r.Stderr, h.Cgroup) {
		t.Errorf("names not both cgroups: %q", r.Stderr)
	}
	refused(elsewhere(t, h, "start", "--cgroup", h.Cgroup))

	// Other commands work from there, but for what only home knows.
	var s status
	if r := elsewhere(t, h, "status", "-o", "json"); r.Code != 0 || strings.Contains(r.Stdout, `"home": true`) {
		t.Errorf("status from another namespace: %+v", r)
	}
	if r := elsewhere(t, h, "rule", "add", "there.test", "vpn0"); r.Code != 0 {
		t.Errorf("rule add from another namespace: %+v", r)
	}
	if r := elsewhere(t, h, "rule", "add", "there.test", "1"); r.Code != 2 {
		t.Errorf("rule add by index from another namespace: %+v", r)
	}
	if h.JSON(&s, "status"); !s.Home {
		t.Error("status at home says it is elsewhere")
	}
	// Of the same cgroup by another path: the same.
	check(t, os.Symlink(h.Cgroup, filepath.Join(h.Dir, "cgroup")))
	h.Must("start", "--cgroup", filepath.Join(h.Dir, "cgroup"))
	wantOut(t, h, a, server, "vpn0")
	// And once stopped it may be there.
	h.Must("stop")
	h.Must("start", "--cgroup", sub)
	if len(inkernel.Attached(t, sub)) != inkernel.Hooks || len(inkernel.Attached(t, h.Cgroup)) != 0 {
		t.Errorf("attached at %v and %v", inkernel.Attached(t, sub), inkernel.Attached(t, h.Cgroup))
	}
}

// elsewhere runs domain-route in the internet's namespace.
func elsewhere(t *testing.T, h *harness.Host, args ...string) harness.Result {
	t.Helper()
	cmd := h.CommandIn(context.Background(), h.Internet, harness.Binary(t), args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return harness.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

func TestNotACgroup(t *testing.T) {
	h := harness.New(t, lab.Options{})
	inkernel.Unmount(t)
	file := filepath.Join(h.Dir, "file")
	check(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{h.Dir, file, filepath.Join(h.Cgroup, "cgroup.procs"), filepath.Join(h.Cgroup, "absent"), "/nowhere"} {
		r := h.Run("start", "--cgroup", dir)
		if r.Code != 2 || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, dir) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want 2 and one line", dir, r.Code, r.Stdout, r.Stderr)
		}
	}
	inkernel.WantNothing(t, h.Cgroup)
	if n := inkernel.Mounts(t); n != 0 {
		t.Errorf("bpffs is mounted %d times", n)
	}
}

// State of another layout version is refused and named, and stop removes it (G5).
func TestOtherLayout(t *testing.T) {
	h := harness.New(t, lab.Options{})
	start(h)
	h.Must("rule", "add", "a.test", "vpn0")
	setLayout(t, 99)
	wantOtherLayout(t, h, 99)
	all := inkernel.Objects(t)
	r := h.Run("stop")
	if r.Code != 0 {
		t.Errorf("stop: %+v", r)
	}
	inkernel.WantNothing(t, h.Cgroup)
	inkernel.WantGone(t, all)

	// A version so different that the map has another size.
	check(t, os.MkdirAll(filepath.Dir(inkernel.StatesPin), 0o700))
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "states", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	check(t, err)
	defer m.Close()
	check(t, m.Put(uint32(0), uint64(7)))
	check(t, m.Pin(inkernel.StatesPin))
	wantOtherLayout(t, h, 7)
	h.Must("stop")
	inkernel.WantNothing(t, h.Cgroup)
	start(h)
	h.Must("stop")
}

// setLayout writes another version into the first word of the pinned state.
func setLayout(t *testing.T, version uint32) {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(inkernel.StatesPin, nil)
	check(t, err)
	defer m.Close()
	b, err := m.LookupBytes(uint32(0))
	check(t, err)
	binary.NativeEndian.PutUint32(b, version)
	check(t, m.Put(uint32(0), b))
}

func wantOtherLayout(t *testing.T, h *harness.Host, version int) {
	t.Helper()
	says := regexp.MustCompile(fmt.Sprintf(`layout version %d\b.*domain-route stop`, version))
	before := inkernel.Pins(t, inkernel.Base)
	for _, args := range [][]string{{"start", "--cgroup", h.Cgroup}, {"rule", "list"}, {"rule", "add", "b.test", "vpn0"}, {"rdns"}} {
		r := h.Run(args...)
		if r.Code != 2 || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !says.MatchString(r.Stderr) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q; want 2 and one line with %s", args, r.Code, r.Stdout, r.Stderr, says)
		}
	}
	if s := inspect(t, h); s.State != "foreign" || len(s.Warnings) != 1 || !says.MatchString(s.Warnings[0]) {
		t.Errorf("status: %+v", s)
	}
	if now := inkernel.Pins(t, inkernel.Base); !slices.Equal(now, before) {
		t.Errorf("pins are %v, were %v", now, before)
	}
}

// State with parts missing is refused and named, and stop removes what is left of it.
func TestDamaged(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for _, part := range []string{"maps/targets", "maps/states", "maps/rules", "maps/host_ruled", "text"} {
		t.Run(part, func(t *testing.T) {
			start(h)
			h.Must("rule", "add", "a.test", "vpn0")
			all := inkernel.Objects(t)
			check(t, os.RemoveAll(filepath.Join(inkernel.Base, "live", part)))
			for _, args := range [][]string{{"rule", "list"}, {"rule", "add", "b.test", "vpn0"}, {"start", "--cgroup", h.Cgroup}} {
				r := h.Run(args...)
				if r.Code < 2 || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "domain-route stop") {
					t.Errorf("%v: exit %d, stdout %q, stderr %q; want a refusal with the cure", args, r.Code, r.Stdout, r.Stderr)
				}
			}
			if s := inspect(t, h); s.State != "damaged" || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "domain-route stop") {
				t.Errorf("status: %+v", s)
			}
			h.Must("stop")
			inkernel.WantNothing(t, h.Cgroup)
			inkernel.WantGone(t, all)
		})
	}
}

// A hook that somebody removed is told by status, and brought back by start.
func TestLostHook(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("lost.test")
	start(h)
	h.Must("rule", "add", "lost.test", "vpn0")
	check(t, via.Learn(a, "lost.test"))
	check(t, os.Remove(filepath.Join(inkernel.Base, "live/links/connect4")))
	if s := inspect(t, h); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "connect4") || !strings.Contains(s.Warnings[0], "domain-route start") {
		t.Errorf("status: %+v", s)
	}
	start(h)
	if s := inspect(t, h); len(s.Warnings) > 0 || len(s.Programs) != inkernel.Hooks {
		t.Errorf("status: %+v", s)
	}
	wantOut(t, h, a, server, "vpn0")
}

// The binary is one static file.
func TestBinaryIsStatic(t *testing.T) {
	out, err := exec.Command("go", "version", "-m", harness.Binary(t)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "CGO_ENABLED=0") {
		t.Errorf("built with cgo:\n%s", out)
	}
}
