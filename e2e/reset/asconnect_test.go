package reset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// whereabouts is what the kernel made of a connect.
type whereabouts struct {
	device  string
	mark    int
	refused bool
}

// connect connects a datagram socket, for there is no packet to wait for.
func connect(t testing.TB, a *lab.Agent, to lab.Host) (*conn, whereabouts) {
	t.Helper()
	s, err := a.Socket("udp4")
	check(t, err)
	c := &conn{t: t, what: "UDP/IPv4", s: s, udp: true, to: addrPort(via.UDP4, to)}
	if err := s.Connect(c.to); err != nil {
		if !errors.Is(err, lab.Errno("EHOSTUNREACH")) && !errors.Is(err, lab.Errno("ENODEV")) {
			t.Fatal(err)
		}
		return c, whereabouts{refused: true}
	}
	var w whereabouts
	w.device, err = s.Device()
	check(t, err)
	w.mark, err = s.Mark()
	check(t, err)
	c.local, err = s.LocalAddr()
	check(t, err)
	return c, w
}

// Whatever was learnt by whom and whatever the rules are: listed is exactly what connect would have elsewhere. The
// kernel is the judge: each socket has a fresh one beside it.
func TestAsConnect(t *testing.T) {
	const rounds = 60
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	names := []string{"a.test", "b.test", "x.a.test", "y.b.test"}
	var servers []lab.Host
	for i := range 4 { // each name leads to two of the four
		servers = append(servers, h.MustHost())
		h.DNS.Set(names[i], servers[i].Addr4, servers[i].Addr6)
	}
	for i, name := range names {
		other := servers[(i+1)%4]
		h.DNS.Set(name, servers[i].Addr4, other.Addr4, servers[i].Addr6)
	}
	var agents []*lab.Agent
	for _, uid := range []uint32{0, 33, 1001, 1001, 1002} {
		agents = append(agents, h.MustAgent(lab.AgentOptions{UID: uid}))
	}
	root, err := lab.CgroupRoot()
	check(t, err)
	within := "cgroup=" + strings.TrimPrefix(h.Cgroup, root)
	for _, dir := range []string{"in", "in/deeper"} {
		check(t, os.Mkdir(filepath.Join(h.Cgroup, dir), 0o755))
		place, err := os.Open(filepath.Join(h.Cgroup, dir))
		check(t, err)
		defer place.Close()
		agents = append(agents, h.MustAgent(lab.AgentOptions{UID: 1001, Cgroup: place}))
	}
	h.Must("rule", "add", h.DNS.Addr4.String(), "direct") // whatever the default
	patterns := []string{"a.test", "b.test", "*.a.test", "=a.test", "=y.b.test", "default", "test",
		"198.51.100.0/28", servers[0].Addr4.String(), servers[1].Addr4.String() + "/32"}
	conditions := [][]string{nil, nil, nil, {"user=1001"}, {"user=33"}, {within + "/in"}, {"user=1001", within + "/in/deeper"}}
	targets := []string{"vpn0", "lte0", "direct", "mark:7", "gone0,lte0", "gone0,direct", "block", "gone0"}
	random := rand.New(rand.NewPCG(1, 2))
	anyOf := func(list []string) string { return list[random.IntN(len(list))] }
	listed, kept := 0, 0
	for round := range rounds {
		for range 2 {
			check(t, via.Learn(agents[random.IntN(len(agents))], anyOf(names)))
		}
		var conns []*conn
		var before []whereabouts
		var whose []*lab.Agent
		var to []lab.Host
		for _, a := range agents {
			for _, s := range servers {
				if c, w := connect(t, a, s); !w.refused {
					conns, before, whose, to = append(conns, c), append(before, w), append(whose, a), append(to, s)
				} else {
					c.s.Close()
				}
			}
		}
		wantRows(t, reset(t, h, "--dry-run"))
		var change []string
		condition := conditions[random.IntN(len(conditions))]
		if p := anyOf(patterns); random.IntN(3) == 0 {
			change = append([]string{"rule", "del", p}, condition...)
			h.Run(change...)
		} else {
			change = append([]string{"rule", "add", p, anyOf(targets)}, condition...)
			h.Must(change...)
		}
		if random.IntN(3) == 0 {
			check(t, via.Learn(agents[random.IntN(len(agents))], anyOf(names)))
		}
		rows := reset(t, h, "--dry-run")
		var moved []*conn
		for i, c := range conns {
			fresh, now := connect(t, whose[i], to[i])
			fresh.s.Close()
			if now != before[i] {
				moved = append(moved, c)
			}
		}
		listed, kept = listed+len(moved), kept+len(conns)-len(moved)
		wantRows(t, rows, moved...)
		if t.Failed() {
			t.Fatalf("round %d, %v; rules: %s", round, change, h.Must("rule", "list"))
		}
		for _, c := range conns {
			c.s.Close()
		}
	}
	if listed < 50 || kept < 50 {
		t.Errorf("%d were to move and %d to stay: this proves little", listed, kept)
	}
}

// evictNames takes all texts of names out of maps, as evictions do.
func evictNames(t *testing.T, from ...string) {
	t.Helper()
	for _, name := range from {
		m, err := ebpf.LoadPinnedMap("/sys/fs/bpf/domain-route/live/maps/"+name, nil)
		check(t, err)
		defer m.Close()
		var hashes []uint64
		var hash uint64
		it := m.Iterate()
		for value := make([]byte, m.ValueSize()); it.Next(&hash, &value); {
			hashes = append(hashes, hash)
		}
		check(t, it.Err())
		for _, hash := range hashes {
			check(t, m.Delete(hash))
		}
	}
}

// A name whose text was evicted is judged as connect judges it: by its rule's hash.
func TestEvictedNames(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	apex, sub := h.MustHost("ruled.test"), h.MustHost("sub.ruled.test")
	h.Must("rule", "add", "ruled.test", "vpn0")
	check(t, via.Learn(a, "ruled.test", "sub.ruled.test"))
	evictNames(t, "names_ruled", "names_plain")
	var all []*conn
	for _, server := range []lab.Host{apex, sub} {
		all = append(all, open(t, a, via.TCP4, server), open(t, a, via.UDP6, server))
	}
	wantRows(t, reset(t, h)) // matched under the rule set in force
	h.Must("rule", "add", "other.test", "vpn0")
	wantRows(t, reset(t, h, "--dry-run")) // another rule set, the same rule
	h.Must("rule", "add", "ruled.test", "block")
	rows := reset(t, h, "--dry-run")
	wantRows(t, rows, all...)
	for _, r := range rows {
		if len(r.Names) > 0 || r.Then.Verdict != "blocked" {
			t.Errorf("%+v", r)
		}
	}
	h.Must("rule", "add", "*.ruled.test", "vpn0")
	if rows = reset(t, h); len(rows) != 2 || slices.ContainsFunc(rows, func(r Row) bool { return r.Remote.Addr() != apex.Addr4 && r.Remote.Addr() != apex.Addr6 }) {
		t.Errorf("%s", fmt.Sprint(rows))
	}
}

// So it is where the rules have conditions.
func TestEvictedNamesWithConditions(t *testing.T) {
	const alice, bob = 1001, 1002
	h := harness.Started(t)
	server := h.MustHost("ruled.test")
	h.Must("rule", "add", "ruled.test", "vpn0", fmt.Sprint("user=", alice))
	root := h.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(root, "ruled.test")) // for the host, that is for all
	evictNames(t, "names_ruled", "names_plain")
	agents := map[uint32]*lab.Agent{alice: h.MustAgent(lab.AgentOptions{UID: alice}), bob: h.MustAgent(lab.AgentOptions{UID: bob})}
	conns := map[uint32]*conn{}
	want := func(when string, uids map[uint32]whereabouts) {
		t.Helper()
		for uid, want := range uids {
			c, got := connect(t, agents[uid], server)
			if got != want {
				t.Errorf("%s, %d: %+v, want %+v", when, uid, got, want)
			}
			if conns[uid] == nil {
				conns[uid] = c
			} else {
				c.s.Close()
			}
		}
	}
	want("matched before", map[uint32]whereabouts{alice: {device: "vpn0"}, bob: {}})
	h.Must("rule", "add", "other.test", "vpn0")
	wantRows(t, reset(t, h, "--dry-run")) // another rule set, the same rule
	want("another rule set", map[uint32]whereabouts{alice: {device: "vpn0"}, bob: {}})
	h.Must("rule", "add", "ruled.test", "mark:7", fmt.Sprint("user=", bob))
	wantRows(t, reset(t, h, "--dry-run"), conns[bob])
	want("another rule", map[uint32]whereabouts{alice: {device: "vpn0"}, bob: {mark: 7}})
}
