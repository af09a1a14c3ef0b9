package udp

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// outcome is what one run of a program gave.
type outcome struct {
	out        string
	code       int
	left       []string // uplinks by which packets to the site left
	interrupts uint64   // counted as send_again
}

// run runs a program as a user and looks at what left to the site's IPv4 address.
func (w *world) run(t testing.TB, uid uint32, site string, argv ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := w.Command(ctx, argv[0], argv[1:]...)
	if uid != 0 {
		cmd.AsUser(uid)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C", envRole + "=quic"}
	before := w.Counters()["send_again"]
	w.ResetPackets()
	_ = cmd.Run() // its exit code and words are judged by the caller
	o := outcome{out: out.String(), code: cmd.ProcessState.ExitCode()}
	o.left = w.leftTo(t, w.hosts[site].Addr4)
	o.interrupts = w.Counters()["send_again"] - before
	return o
}

// tool finds a program in PATH or where the system keeps its own; the test cannot go on without it.
func tool(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	harness.Need(t, false, strings.Join(names, " or "))
	return ""
}

// put copies a file of testdata to where every user can read it.
func (w *world) put(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	check(t, err)
	path := filepath.Join(w.Dir, name)
	check(t, os.WriteFile(path, text, 0o644))
	return path
}

// buildC builds a program of testdata.
func (w *world) buildC(t testing.TB, compiler, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(w.Dir, name+"-"+filepath.Base(compiler))
	args := append([]string{"-O1", "-Wall", "-Werror", "-o", path, w.put(t, name+".c")}, flags...)
	if out, err := exec.Command(tool(t, compiler), args...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

var echo = strconv.Itoa(lab.EchoPort)

// program is one that sends without connect, or may.
type program struct {
	name     string
	argv     func(t testing.TB, w *world, name string) []string
	want     string // in its output
	connects bool   // so that nothing is refused
	tells    bool   // its user of the EINTR, which it takes for an error
	hangs    bool   // for ever after it
}

var programs = []program{
	{name: "quic-go", want: answers, argv: func(_ testing.TB, _ *world, name string) []string {
		return []string{"/proc/self/exe", name}
	}},
	{name: "dig", connects: true, want: "status: NOERROR", argv: func(t testing.TB, _ *world, name string) []string {
		return []string{tool(t, "dig"), "+notcp", "+tries=2", "+timeout=3", "@" + name, name}
	}},
	{name: "ntpdig", want: "no-leap", argv: func(t testing.TB, _ *world, name string) []string {
		return []string{tool(t, "ntpdig"), "-t", "3", name}
	}},
	{name: "python-asyncio", want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{tool(t, "/usr/bin/python3"), "-I", w.put(t, "endpoint.py"), "asyncio", name, echo}
	}},
	{name: "python-blocking", want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{tool(t, "/usr/bin/python3"), "-I", w.put(t, "endpoint.py"), "blocking", name, echo}
	}},
	{name: "stun", hangs: true, want: "mappedAddr=" + answers, argv: func(t testing.TB, _ *world, name string) []string {
		return []string{tool(t, "stun"), name, "1", "-v"}
	}},
	{name: "socat-datagram", want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{"sh", "-c", "echo hello | " + tool(t, "socat") + " -t1 - UDP4-DATAGRAM:" + name + ":" + echo}
	}},
	{name: "socat-sendto", want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{"sh", "-c", "echo hello | " + tool(t, "socat") + " -t1 - UDP4-SENDTO:" + name + ":" + echo}
	}},
	{name: "loop-glibc", tells: true, want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{w.buildC(t, "gcc", "loop"), name, echo}
	}},
	{name: "loop-musl", tells: true, want: answers, argv: func(t testing.TB, w *world, name string) []string {
		return []string{w.buildC(t, "musl-gcc", "loop", "-static"), name, echo}
	}},
}

// start starts a program that ends with the test.
func (w *world) start(t testing.TB, ns *lab.Namespace, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := w.CommandIn(ctx, ns, argv[0], argv[1:]...)
	if ns == w.Client {
		cmd = w.Command(ctx, argv[0], argv[1:]...)
	}
	cmd.Dir = "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	check(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("%v:\n%s", argv, tail(out.String(), 3000))
		}
	})
}

// siteServers run all servers that the programs talk to at a site.
func (w *world) siteServers(t testing.TB, site string) {
	t.Helper()
	a := w.hosts[site].Addr4
	w.serve(t, port(a, ntpPort), ntpAnswer)
	w.serve(t, port(a, stunPort), stunAnswer)
	w.serveQUIC(t, port(a, quicPort))
}

// answers is what programs print of the address that the server saw.
const answers = "ADDRESS"

// TestPrograms: each program finds a name, sends to it, and gets its answer as it does from a name without a rule; not one
// packet leaves by the wrong interface.
func TestPrograms(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{"bank", "plain"} {
		w.siteServers(t, s)
		w.DNS.Set(s+".example", w.hosts[s].Addr4)
	}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if p.hangs && !restarts() {
				return
			}
			for site, uplink := range map[string]string{"plain": "wan0", "bank": "vpn0"} {
				o := w.run(t, alice, site, p.argv(t, w, site+".example")...)
				want := strings.ReplaceAll(p.want, answers, w.Uplink(uplink).Addr4.String())
				if o.code != 0 || !strings.Contains(o.out, want) {
					t.Errorf("%s: exit %d, want %q in its words:\n%s", site, o.code, want, tail(o.out, 2000))
				}
				if !slices.Equal(o.left, []string{uplink}) {
					t.Errorf("%s: packets left by %v", site, o.left)
				}
				if site == "bank" && o.interrupts != map[bool]uint64{false: 1}[p.connects] {
					t.Errorf("%d sends were interrupted", o.interrupts)
				}
				if told := strings.Contains(o.out, "Interrupted system call"); told != (p.tells && site == "bank" && !restarts()) {
					t.Errorf("%s: it tells of an interrupted call: %t\n%s", site, told, tail(o.out, 2000))
				}
			}
		})
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
