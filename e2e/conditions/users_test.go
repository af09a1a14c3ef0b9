package conditions

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// A rule for a user is his alone; whom it is not for gets the rule without a condition, or that of a shorter name, or of
// the next stage, or none. Defence: resolve in bpf/choice.h.
func TestUsers(t *testing.T) {
	h := started(t)
	root, a, b := agentIn(t, h, "", 0), agentIn(t, h, "", alice), agentIn(t, h, "", bob)
	who := []struct {
		name  string
		agent *lab.Agent
	}{{"root", root}, {"alice", a}, {"bob", b}}
	to := h.MustHost("www.site.test")
	for _, w := range who {
		check(t, via.Learn(w.agent, "www.site.test"))
	}
	v4, v6 := to.Addr4.String(), to.Addr6.String()
	for _, c := range []struct {
		what  string
		rules [][]string
		want  [3]string // of root, alice, bob
	}{
		{"one user's", [][]string{{"site.test", "vpn0", "user=1001"}}, [3]string{"wan0", "vpn0", "wan0"}},
		{"root's", [][]string{{"site.test", "vpn0", "user=0"}}, [3]string{"vpn0", "wan0", "wan0"}},
		{"two users'", [][]string{{"site.test", "vpn0", "user=1001"}, {"site.test", "lte0", "user=1002"}}, [3]string{"wan0", "vpn0", "lte0"}},
		{"before the same pattern", [][]string{{"site.test", "vpn0", "user=1001"}, {"site.test", "lte0"}}, [3]string{"lte0", "vpn0", "lte0"}},
		{"a longer name goes before", [][]string{{"site.test", "lte0"}, {"=www.site.test", "vpn0", "user=1001"}, {"test", "block", "user=1001"}},
			[3]string{"lte0", "vpn0", "lte0"}},
		{"and without a condition, too", [][]string{{"test", "vpn0", "user=1001"}, {"www.site.test", "lte0"}}, [3]string{"lte0", "lte0", "lte0"}},
		{"an exception", [][]string{{"site.test", "vpn0"}, {"site.test", "direct", "user=1002"}}, [3]string{"vpn0", "vpn0", "wan0"}},
		{"a longer name, then its parent's", [][]string{{"www.site.test", "vpn0", "user=1001"}, {"site.test", "lte0", "user=1002"}, {"test", "block"}},
			[3]string{"EHOSTUNREACH", "vpn0", "lte0"}},
		{"a name, then its address", [][]string{{"site.test", "vpn0", "user=1001"}, {v4, "lte0"}, {v6, "lte0"}}, [3]string{"lte0", "vpn0", "lte0"}},
		{"a name, then the default", [][]string{{"site.test", "vpn0", "user=1001"}, {"default", "lte0"}}, [3]string{"lte0", "vpn0", "lte0"}},
		{"an address", [][]string{{v4, "vpn0", "user=1001"}, {v6, "vpn0", "user=1001"}, {"default", "lte0", "user=1002"}}, [3]string{"wan0", "vpn0", "lte0"}},
		{"an address, then its range", [][]string{{v4, "vpn0", "user=1001"}, {v6, "vpn0", "user=1001"}, {"198.51.100.0/24", "lte0"}, {"2001:db8:1::/64", "lte0"}},
			[3]string{"lte0", "vpn0", "lte0"}},
		{"the default", [][]string{{"default", "vpn0", "user=1001"}, {"default", "block"}}, [3]string{"EHOSTUNREACH", "vpn0", "EHOSTUNREACH"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, r := range c.rules {
				h.Must(append([]string{"rule", "add"}, r...)...)
				t.Cleanup(func() { h.Must(append([]string{"rule", "del", r[0]}, r[2:]...)...) })
			}
			for i, w := range who {
				wantOut(t, h, w.name, w.agent, to, c.want[i])
			}
		})
	}
}

// A name whose rules do not hold counts as a name without a rule: another name of the same address decides.
func TestConditionDoesNotHold(t *testing.T) {
	h := started(t)
	a, b := agentIn(t, h, "", alice), agentIn(t, h, "", bob)
	shared := h.MustHost("one.test", "two.test")
	h.Must("rule", "add", "one.test", "vpn0", "user=1001")
	h.Must("rule", "add", "two.test", "lte0")
	for _, w := range []*lab.Agent{a, b} {
		check(t, via.Learn(w, "two.test", "one.test")) // the latest with a rule that holds
	}
	wantOut(t, h, "alice", a, shared, "vpn0")
	wantOut(t, h, "bob", b, shared, "lte0")
}

// As many conditions as one name may have, each for another user.
func TestManyUsers(t *testing.T) {
	h := started(t)
	to := h.MustHost("many.test")
	targets := []string{"vpn0", "lte0", "direct"}
	outs := []string{"vpn0", "lte0", "wan0"}
	const users = 16
	for i := range uint32(users) {
		h.Must("rule", "add", "many.test", targets[i%3], "user="+itoa(2000+i))
	}
	if r := h.Run("rule", "add", "many.test", "vpn0", "user=3000"); r.Code == 0 {
		t.Error("a seventeenth condition was taken")
	}
	check(t, via.Learn(agentIn(t, h, "", 0), "many.test"))
	for i := range uint32(users) {
		wantOut(t, h, itoa(2000+i), agentIn(t, h, "", 2000+i), to, outs[i%3])
	}
	wantOut(t, h, "another", agentIn(t, h, "", 2000+users), to, "wan0")
	h.Must("rule", "add", "many.test", "block")
	wantOut(t, h, "another", agentIn(t, h, "", 2000+users), to, "EHOSTUNREACH")
	wantOut(t, h, "the first", agentIn(t, h, "", 2000), to, "vpn0")
}

// What is listed of learnt names is for whom they count: a user's rule is not the host's.
func TestListed(t *testing.T) {
	h := started(t)
	h.MustHost("site.test")
	cgroup(t, h, "a")
	root, a, b := agentIn(t, h, "", 0), agentIn(t, h, "a", alice), agentIn(t, h, "", bob)
	h.Must("rule", "add", "site.test", "lte0", "user=1001")
	h.Must("rule", "add", "site.test", "vpn0", "cgroup="+path(t, h, "a"))
	for _, w := range []*lab.Agent{root, a, b} {
		check(t, via.Learn(w, "site.test"))
	}
	got := map[string]string{}
	for _, l := range h.Learnt() {
		if l.Address.Is4() {
			got[fmt.Sprint(l.Level, " ", l.PID, " ", l.UID)] = l.Target
		}
	}
	want := map[string]string{
		fmt.Sprint("process ", a.PID, " ", alice): "vpn0", fmt.Sprint("process ", b.PID, " ", bob): "", fmt.Sprint("process ", root.PID, " 0"): "",
		fmt.Sprint("user 0 ", alice): "lte0", fmt.Sprint("user 0 ", bob): "", "host 0 0": "",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
