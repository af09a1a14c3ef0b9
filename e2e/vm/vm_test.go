// Package vm is the end-to-end test that runs on other kernels, in virtual machines without any other program (see vmtest/).
// It covers every journey once; what does not depend on the kernel is tested elsewhere.
package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// verifierLimit is the number of instructions that the verifier may walk for any program, on any kernel.
const verifierLimit = 100_000

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// agent starts an agent that is patient: emulated machines are slow.
func agent(h *harness.Host, o lab.AgentOptions) *lab.Agent {
	o.Timeout = 5 * time.Second
	return h.MustAgent(o)
}

// apply makes these the rules: one command, each of which takes half a second there.
func apply(t testing.TB, h *harness.Host, rules ...string) {
	t.Helper()
	file := filepath.Join(h.Dir, "rules")
	check(t, os.WriteFile(file, []byte(strings.Join(rules, "\n")+"\n"), 0o600))
	h.Must("apply", "-f", file)
}

// learn resolves names by an agent.
func learn(t testing.TB, a *lab.Agent, names ...string) {
	t.Helper()
	check(t, via.Learn(a, names...))
}

// wantOut connects in all ways, or in those given, and tells where it went otherwise than expected.
func wantOut(t testing.TB, h *harness.Host, a *lab.Agent, to lab.Host, want string, kinds ...via.Kind) {
	t.Helper()
	if len(kinds) == 0 {
		kinds = via.Kinds
	}
	for _, k := range kinds {
		if got := via.Out(h.Lab, a, k, to, "lte0", "tun0"); got != want {
			t.Errorf("%s to %v: %s, want %s", k, k.Target(to), got, want)
		}
	}
}

// The kernel takes every program, within the verifier's limit.
func TestStartAndStop(t *testing.T) {
	h := harness.New(t, lab.Options{})
	inkernel.Unmount(t)
	dev, err := h.Client.NL.LinkByName("wan0")
	check(t, err)
	before := inkernel.OnInterface(t, h.Client, dev)
	began := time.Now()
	r := h.Run("start", "--cgroup", h.Cgroup, "--observe", "sockets", "--observe", "tc:wan0", "--verifier-log")
	if r.Code != 0 {
		t.Fatalf("on %s: exit %d\n%s", release(t), r.Code, tail(r.Stderr, 60))
	}
	took := time.Since(began)
	var status struct {
		State    string
		Warnings []string
		Programs []struct {
			Name, Hook string
			Attached   bool
			Verified   int `json:"verified_instructions"`
		}
	}
	h.JSON(&status, "status")
	// An interface is two hooks.
	if n := len(status.Programs) - inkernel.Hooks; status.State != "started" || n != 2 || len(status.Warnings) > 0 {
		t.Errorf("status: %+v", status)
	}
	for _, p := range status.Programs {
		t.Logf("%s: %d instructions verified", p.Name, p.Verified)
		if !p.Attached || p.Verified > verifierLimit {
			t.Errorf("%+v: not attached, or more than %d instructions", p, verifierLimit)
		}
	}
	t.Logf("%s: started in %v", release(t), took.Round(time.Millisecond))
	h.Must("rule", "add", "a.test", "vpn0")
	all := inkernel.Objects(t)
	if len(all) < 20 {
		t.Errorf("found only %d objects in the kernel", len(all))
	}
	h.Must("stop")
	inkernel.WantNothing(t, h.Cgroup)
	inkernel.WantGone(t, all)
	if after := inkernel.OnInterface(t, h.Client, dev); !slices.Equal(after, before) {
		t.Errorf("wan0 has %v after stop, had %v", after, before)
	}
}

func release(t *testing.T) string {
	t.Helper()
	var u unix.Utsname
	check(t, unix.Uname(&u))
	return unix.ByteSliceToString(u.Release[:])
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Interfaces come, go and change their names; steering follows the name, and fails closed.
func TestInterfaces(t *testing.T) {
	h := harness.Started(t)
	a := agent(h, lab.AgentOptions{})
	server, late, renamed := h.MustHost("ruled.test"), h.MustHost("late.test"), h.MustHost("renamed.test")
	apply(t, h, "ruled.test vpn0", "late.test tun0", "renamed.test lte0")
	learn(t, a, "ruled.test", "late.test", "renamed.test")
	wantOut(t, h, a, server, "vpn0")
	wantOut(t, h, a, late, "ENODEV", via.TCP4, via.UDP6)
	check(t, h.AddUplink("tun0", lab.UplinkOptions{Tun: true}))
	wantOut(t, h, a, late, "tun0")

	before := h.Uplink("vpn0").Index
	check(t, h.DeleteUplink("vpn0"))
	h.ResetPackets()
	wantOut(t, h, a, server, "ENODEV")
	for _, addr := range []via.Kind{via.TCP4, via.TCP6} {
		if n, err := h.UplinkPackets("wan0", addr.Target(server)); err != nil || n != 0 {
			t.Errorf("%d packets to %v by wan0, %v; want none", n, addr.Target(server), err)
		}
	}
	check(t, h.CreateUplink("vpn0"))
	if h.Uplink("vpn0").Index == before {
		t.Fatal("vpn0 came back with the same index")
	}
	wantOut(t, h, a, server, "vpn0")

	check(t, h.RenameUplink("vpn0", "lte0"))
	wantOut(t, h, a, server, "ENODEV", via.TCP4, via.UDP6)
	wantOut(t, h, a, renamed, "lte0", via.TCP4, via.UDP6)
	check(t, h.RenameUplink("lte0", "vpn0"))
	wantOut(t, h, a, server, "vpn0", via.TCP4, via.UDP6)
}

// A rule change counts from the next connect on, also for what was learnt before the rule.
func TestRuleChanges(t *testing.T) {
	h := harness.Started(t)
	root, alice, bob := agent(h, lab.AgentOptions{}), agent(h, lab.AgentOptions{UID: 1001}), agent(h, lab.AgentOptions{UID: 1002})
	server, own := h.MustHost("change.test"), h.MustHost("own.change.test")
	learn(t, root, "change.test")
	learn(t, alice, "own.change.test")
	for range 2 {
		for _, c := range []struct{ target, want string }{{"vpn0", "vpn0"}, {"block", "EHOSTUNREACH"}, {"gone0,direct", "wan0"}, {"gone0", "ENODEV"}} {
			h.Must("rule", "add", "change.test", c.target)
			wantOut(t, h, root, server, c.want, via.TCP4, via.UDPMapped)
			wantOut(t, h, bob, server, c.want, via.TCP6)
			wantOut(t, h, alice, own, c.want, via.UDP4)
			wantOut(t, h, bob, own, "wan0", via.UDP4)
		}
		h.Must("rule", "del", "change.test")
		wantOut(t, h, root, server, "wan0", via.TCP4, via.UDPMapped)
		wantOut(t, h, alice, own, "wan0", via.UDP4)
	}
	h.Must("rule", "add", "default", "vpn0")
	wantOut(t, h, root, h.MustHost(), "vpn0")
}

// start on a started system: every connection in the meantime is steered.
func TestUpdateInPlace(t *testing.T) {
	h := harness.Started(t)
	a := agent(h, lab.AgentOptions{})
	server := h.MustHost("update.test")
	h.Must("rule", "add", "update.test", "vpn0")
	learn(t, a, "update.test")
	stop, done := make(chan struct{}), make(chan string)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				done <- fmt.Sprint("all of ", n)
				return
			default:
			}
			if got := via.Out(h.Lab, a, via.Kinds[n%len(via.Kinds)], server); got != "vpn0" {
				<-stop
				done <- fmt.Sprintf("number %d left by %s", n, got)
				return
			}
		}
	}()
	h.Must("start", "--cgroup", h.Cgroup)
	close(stop)
	if got := <-done; !strings.HasPrefix(got, "all of ") || got == "all of 0" {
		t.Errorf("connections steered: %s", got)
	}
	wantOut(t, h, a, server, "vpn0")
}
