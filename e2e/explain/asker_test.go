package explain

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// What explain says of a name for a user is what becomes of a program that asks for it and connects, whatever others
// learnt; and what it says of who connects without asking is what becomes of that. Rules and names by chance.
func TestWhereAskersGo(t *testing.T) {
	seed := number(t, seedEnv, int(time.Now().UnixNano()%1_000_000))
	t.Logf("%s=%d", seedEnv, seed)
	w := newWorld(t, seed)
	names := slices.Sorted(maps.Keys(w.names))
	n := &tried{verdicts: map[string]int{}}
	for range 6 {
		for range 8 {
			check(t, w.learn(w.agents[w.random.IntN(len(w.agents))], w.of(names)))
		}
		rules := w.newRules()
		var asked []question
		for _, uid := range []uint32{0, 33, 1001, 1002} {
			a := w.MustAgent(lab.AgentOptions{UID: uid})
			defer a.Close()
			for _, name := range names {
				asked = append(asked, question{agent: a, name: name, user: fmt.Sprint(uid)})
			}
		}
		w.explain(asked)
		for _, q := range asked {
			w.goUnasked(q, rules, n)
		}
		for _, q := range asked {
			w.goAsked(q, rules, n)
		}
	}
	t.Logf("%d connects: %v", n.connects, n.verdicts)
	for _, kind := range []string{"steered", "direct", "blocked", "otherwise unasked"} {
		if n.verdicts[kind] < 5 {
			t.Errorf("%s: only %d: this proves little", kind, n.verdicts[kind])
		}
	}
}

// goUnasked has a process connect that did not ask for anything.
func (w *world) goUnasked(q question, rules string, n *tried) {
	w.t.Helper()
	for _, at := range q.answer.Addresses {
		want := at.Place
		if at.Unasked != nil {
			want = at.Unasked.Place
			n.add("otherwise unasked")
		}
		if err := w.wants(q, at.Address, want); err != nil {
			w.t.Fatalf("without asking: %v\nrules:\n%slearnt:\n%s", err, rules, w.Must("rdns"))
		}
		n.add("unasked " + want.Verdict)
	}
}

// goAsked has a new process ask and connect.
func (w *world) goAsked(q question, rules string, n *tried) {
	w.t.Helper()
	places := map[netip.Addr]place{}
	for _, at := range q.answer.Addresses {
		places[at.Address] = at.Place
	}
	if q.answer.foretold() {
		for _, to := range w.names[q.name] {
			if to != w.own {
				places[to] = q.answer.Verdict
			}
		}
	}
	if len(places) == 0 {
		return
	}
	var uid uint32
	_, err := fmt.Sscan(q.user, &uid)
	check(w.t, err)
	q.agent = w.MustAgent(lab.AgentOptions{UID: uid})
	defer q.agent.Close()
	check(w.t, w.learn(q.agent, q.name))
	for to, want := range places {
		if err := w.wants(q, to, want); err != nil {
			w.t.Fatalf("%v\nrules:\n%slearnt:\n%s", err, rules, w.Must("rdns"))
		}
		n.add(want.Verdict)
	}
}

// Two names have one address. What the host learnt of one says nothing of who asks for the other.
func TestSharedAddress(t *testing.T) {
	h := harness.Started(t)
	server := h.MustHost("ruled.test", "plain.test")
	h.Must("rule", "add", "ruled.test", "block")
	check(t, via.Learn(h.MustAgent(lab.AgentOptions{}), "plain.test", "ruled.test"))
	const second = "who connects without asking gets: blocked, by ruled.test (learnt by the host (root or a service))"
	user := fmt.Sprint(alice)
	for _, subject := range []string{"plain.test", "http://plain.test/page"} {
		out := says(t, h, 1, []string{"direct (no rule) " + second, server.Addr4.String() + " -> direct (no rule)", "CONFLICT: names of it", "kernel agrees"}, subject, "--user", user)
		if first, _, _ := strings.Cut(out, "\n"); first != "plain.test -> direct (no rule)" {
			t.Errorf("%s: %s", subject, first)
		}
	}
	if out := says(t, h, 1, []string{"ruled.test -> blocked"}, "ruled.test", "--user", user); strings.Contains(out, "without asking") {
		t.Errorf("who does not ask gets the same:\n%s", out)
	}
	goes := func(name, want string) {
		t.Helper()
		a := h.MustAgent(lab.AgentOptions{UID: alice})
		defer a.Close()
		pid := []string{"plain.test", "--process", fmt.Sprint(a.PID)}
		if name == "" {
			says(t, h, 1, []string{"plain.test -> blocked"}, pid...) // as ever: it may have the address from elsewhere
		} else {
			check(t, via.Learn(a, name))
		}
		if out := via.Out(h.Lab, a, via.TCP4, server); out != want {
			t.Errorf("who asked for %q goes to %s, want %s", name, out, want)
		}
	}
	goes("", "EHOSTUNREACH")
	goes("plain.test", "wan0")
	goes("ruled.test", "EHOSTUNREACH")

	h.Must("rule", "add", "plain.test", "vpn0")
	says(t, h, 0, []string{"plain.test -> vpn0 (ifindex"}, "plain.test", "--user", user)
	h.Must("rule", "del", "plain.test")
	h.Must("rule", "add", server.Addr4.String(), "vpn0")
	says(t, h, 1, []string{"plain.test -> differs, 2 addresses:", "1 vpn0 (ifindex", "1 direct"}, "plain.test", "--user", user)
	goes("plain.test", "vpn0")
	says(t, h, 1, []string{"-> blocked"}, server.Addr4.String(), "--user", "33")
}
