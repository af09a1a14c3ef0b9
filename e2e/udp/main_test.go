// Package udp tests what becomes of datagrams that are sent without connect: by sockets taken step by step, and by real
// programs. Every test looks at where the packets went.
package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// alice is a user without privileges.
const alice = 4242

func TestMain(m *testing.M) {
	if role := os.Getenv(envRole); role != "" {
		os.Exit(playRole(role, os.Args[1:]))
	}
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func port(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

// eventually looks at a condition until it is true, and fails the test when that takes too long.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for pause := 100 * time.Microsecond; !cond(); pause = min(2*pause, 20*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		time.Sleep(pause)
	}
}

// sites are the names of the tests and their rules' targets; "" is no rule. vpn9 does not exist at first.
var sites = []struct{ name, target string }{
	{"bank", "vpn0"}, {"bank2", "vpn0"}, {"shop", "vpn1"}, {"ads", "block"}, {"gone", "vpn9"}, {"chain", "vpn9,vpn1"},
	{"spare", "vpn9,direct"}, {"free", "direct"}, {"plain", ""}, {"plain2", ""},
}

// uplinks are all of a world's.
var uplinks = []string{"wan0", "vpn0", "vpn1", "vpn9"}

// world is a started host with all sites.
type world struct {
	*harness.Host
	hosts map[string]lab.Host
	last  map[string]uint64 // counters before the step
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{Host: harness.Started(t), hosts: map[string]lab.Host{}}
	check(t, w.AddUplink("vpn1", lab.UplinkOptions{}))
	for _, s := range sites {
		name := s.name + ".example"
		w.hosts[s.name] = w.MustHost(name)
		if s.target != "" {
			w.Must("rule", "add", name, s.target)
		}
	}
	return w
}

// agent starts one that has asked for all sites.
func (w *world) agent(t testing.TB, uid uint32) *lab.Agent {
	t.Helper()
	a := w.MustAgent(lab.AgentOptions{UID: uid})
	for _, s := range sites {
		resolve(t, a, s.name+".example")
	}
	return a
}

func resolve(t testing.TB, a *lab.Agent, name string) {
	t.Helper()
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if ans, err := a.Resolve(lab.Query{Name: name, Type: typ}); err != nil || len(ans.Addrs) == 0 {
			t.Fatalf("resolve %s: %v, %v", name, ans.Addrs, err)
		}
	}
}

// way is how a program uses its socket.
type way struct {
	kind string // of socket
	v6   bool   // the destination's family: IPv4 addresses on an IPv6 socket are used v4-mapped
}

func (w way) String() string {
	if !w.v6 && w.kind == "udp6" {
		return "v4-mapped"
	}
	return w.kind
}

var ways = []way{{"udp4", false}, {"udp6", true}, {"udp6", false}}

// everyWay runs a test for root and for a user, by sockets of all ways.
func everyWay(t *testing.T, w *world, f func(*testing.T, *lab.Agent, way, bool)) {
	for _, uid := range []uint32{0, alice} {
		a := w.agent(t, uid)
		for _, way := range ways {
			t.Run(fmt.Sprintf("uid%d-%v", uid, way), func(t *testing.T) { f(t, a, way, uid == 0) })
		}
	}
}

// talker is an unconnected socket in the hands of a test.
type talker struct {
	*world
	*lab.Socket
	t   testing.TB
	way way
	tag string
}

func (w *world) talker(t testing.TB, a *lab.Agent, way way, tag string) *talker {
	t.Helper()
	s, err := a.Socket(way.kind)
	check(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return &talker{w, s, t, way, tag}
}

func (k *talker) addr(site string) netip.Addr {
	h, ok := k.hosts[site]
	if !ok {
		k.t.Fatalf("no site %q", site)
	}
	if k.way.v6 {
		return h.Addr6
	}
	return h.Addr4
}

// restarts tells whether the kernel can be had to call sendmsg again by itself (bpf/restart.h), so that programs see no EINTR.
var restarts = sync.OnceValue(func() bool {
	btf, err := os.ReadFile("/sys/kernel/btf/vmlinux")
	return err == nil && bytes.Contains(btf, []byte("\x00bpf_task_work_schedule_signal"))
})

// say takes steps, each "SITE:WANT" or "SITE:WANT/COUNTER+COUNTER": one datagram is sent, once. WANT is the errno with
// which it is refused, and then no packet may leave; or the uplink by which it leaves, and then it must have left by
// no other and its answer must come. The counters must move by one each. Where the kernel restarts, EINTR stands for
// the uplink of the step that follows.
func (k *talker) say(steps string) {
	k.t.Helper()
	all := strings.Fields(steps)
	for i, step := range all {
		site, want, _ := strings.Cut(step, ":")
		want, counters, _ := strings.Cut(want, "/")
		if want == "EINTR" && restarts() {
			_, want, _ = strings.Cut(all[i+1], ":")
			want, _, _ = strings.Cut(want, "/")
		}
		if counters != "" {
			k.last = k.Counters()
		}
		k.step(fmt.Sprintf("%s: step %d of %q", k.tag, i+1, steps), site, want)
		if counters != "" {
			k.moved(counters)
		}
		if k.t.Failed() {
			return // the steps after it would only repeat it
		}
	}
}

func (k *talker) step(tag, site, want string) {
	k.t.Helper()
	k.ResetPackets()
	err := k.SendToOnce([]byte("hello"), port(k.addr(site), lab.EchoPort))
	if !isUplink(want) {
		if !errors.Is(err, lab.Errno(want)) {
			k.t.Errorf("%s: %v, want %s", tag, err, want)
		}
		if by := k.left(site); by != "" {
			k.t.Errorf("%s: packets left by %s", tag, by)
		}
		return
	}
	if err != nil {
		k.t.Errorf("%s: %v", tag, err)
		return
	}
	k.answered(tag, site, want)
	if by := k.left(site); by != want {
		k.t.Errorf("%s: packets left by %s", tag, by)
	}
}

// answered receives the answer of a site, which must have seen the right uplink's address.
func (k *talker) answered(tag, site, uplink string) {
	k.t.Helper()
	answer, from, err := k.Recv()
	if err != nil {
		k.t.Errorf("%s: no answer: %v (packets left by %q)", tag, err, k.left(site))
		return
	}
	u := k.Uplink(uplink)
	if from.Addr() != k.addr(site) || string(answer) != u.Addr4.String() && string(answer) != u.Addr6.String() {
		k.t.Errorf("%s: %v answered that it saw %s, want %s of %s", tag, from, answer, u.Addr4, uplink)
	}
}

func isUplink(s string) bool { return strings.Contains(" "+strings.Join(uplinks, " ")+" ", " "+s+" ") }

// left names the uplinks by which packets to a site have left since the last reset.
func (k *talker) left(site string) string {
	k.t.Helper()
	return strings.Join(k.leftTo(k.t, k.addr(site)), " ")
}

func (w *world) leftTo(t testing.TB, to netip.Addr) (by []string) {
	t.Helper()
	for _, name := range uplinks {
		if w.Uplink(name).Name == "" {
			continue // never added
		}
		n, err := w.UplinkPackets(name, to)
		check(t, err)
		if n > 0 {
			by = append(by, name)
		}
	}
	return by
}

// moved checks that each of some counters has moved by one since it was last looked at.
func (k *talker) moved(names string) {
	k.t.Helper()
	now := k.Counters()
	for name := range strings.SplitSeq(names, "+") {
		if n := now[name] - k.last[name]; n != 1 {
			k.t.Errorf("%s: counter %s moved by %d", k.tag, name, n)
		}
	}
}
