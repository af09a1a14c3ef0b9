package state

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/testlist"
)

// applyKills is how often apply is killed; every third time by the clock, else at a system call.
const applyKills = 200

// apply, killed at any point: the old rules or the new ones, all 2,000 of them, and connections obey them; the next
// command works.
func TestKilledApply(t *testing.T) {
	s := newApplyStage(t)
	calls := count(t, s.h, s.apply(1)...)
	s.want(t, 1)
	began := time.Now()
	s.h.Must(s.apply(0)...)
	usual := time.Since(began)
	met := map[string]int{}
	now, killed := 0, 0
	for i := 0; killed < applyKills; i++ {
		if i%4 < 2 && i < applyKills/2 {
			s.forget(t)
		}
		var died bool
		how := "by the clock"
		if i%3 == 2 {
			died = killedAfter(t, s.h, rand.N(usual*6/5), s.apply(1-now)...)
		} else {
			n := 1 + i*7%calls // 7: the whole command over again every so often
			how = fmt.Sprintf("at system call %d of %d", n, calls)
			died = at(t, s.h, n, kill, s.apply(1-now)...).Killed
		}
		was := now
		now = s.inForce(t)
		if died {
			killed++
			met[fmt.Sprintf("%s, changed: %v", how[:6], now != was)]++
		} else if now == was {
			t.Errorf("apply ended, but the rules are the old ones")
		}
		s.want(t, now)
		if i%10 == 9 { // mended, by the same command
			now = 1 - now
			s.h.Must(s.apply(now)...)
			s.want(t, now)
			if texts := inkernel.Pins(t, inkernel.Base+"/live/text"); len(texts) != 1 {
				t.Errorf("texts of rule sets: %v, want one", texts)
			}
		}
		if t.Failed() {
			t.Fatalf("try %d: killed (%v) %s", i, died, how)
		}
	}
	t.Logf("%d system calls in %v; %v; in the cache: %q", calls, usual, met, s.cached(t))
	for _, kind := range []string{"by the, changed: false", "at sys, changed: false", "at sys, changed: true"} {
		if met[kind] < 5 {
			t.Errorf("%d kills %s", met[kind], kind)
		}
	}
}

// apply, with an error from every fifth of its system calls: exit 3 and the old rules, or 0 and the new ones.
func TestFailingApply(t *testing.T) {
	s := newApplyStage(t)
	calls := count(t, s.h, s.apply(1)...)
	failed, now := 0, 1
	for n := 1; n <= calls; n += 5 {
		r := at(t, s.h, n, inject.Verdict{Errno: failures[n%2]}, s.apply(1-now)...)
		was := now
		if now = s.inForce(t); r.Code == 0 && now == was {
			t.Errorf("exit 0, but the rules are the old ones")
		}
		if r.Code != 0 {
			failed++
			if r.Code != 3 || now != was {
				t.Errorf("exit %d, the rules have changed: %v", r.Code, now != was)
			}
			if !strings.Contains(r.Stderr, "domain-route: ") {
				t.Errorf("stderr %q", r.Stderr)
			}
		}
		s.want(t, now)
		if t.Failed() {
			t.Fatalf("at system call %d of %d, with %v", n, calls, failures[n%2])
		}
	}
	if failed < 10 {
		t.Errorf("only %d failures", failed)
	}
}

// applyStage has two rule sets, one as a list of rules, one as a configuration with a list of names.
type applyStage struct {
	h      *harness.Host
	agent  *lab.Agent
	files  [2]string
	cache  string
	lists  [2]string // what rule list prints with each
	actors []applyActor
}

// applyActor is a server, and where connections to it go with each rule set.
type applyActor struct {
	name string // "": there are rules for its addresses alone
	host lab.Host
	ways [2]string
}

func newApplyStage(t *testing.T) *applyStage {
	t.Helper()
	h := harness.New(t, lab.Options{})
	start(h)
	s := &applyStage{h: h, agent: h.MustAgent(lab.AgentOptions{}), cache: t.TempDir()}
	t.Setenv("CACHE_DIRECTORY", s.cache)
	for _, c := range []struct{ name, old, now string }{
		{"changed.test", "vpn0", "EHOSTUNREACH"}, {"kept.test", "vpn0", "vpn0"}, {"gone.test", "vpn0", "wan0"},
		{"come.test", "wan0", "vpn0"}, {"user.test", "vpn0", "EHOSTUNREACH"}, {"", "EHOSTUNREACH", "vpn0"},
	} {
		a := applyActor{c.name, h.MustHost(), [2]string{c.old, c.now}}
		s.actors = append(s.actors, a)
		if c.name != "" {
			h.DNS.Set(c.name, a.host.Addr4, a.host.Addr6)
		}
	}
	s.relearn(t)
	s.write(t)
	for _, set := range []int{1, 0} {
		h.Must(s.apply(set)...)
		s.lists[set] = rulesOf(h)
	}
	if n, m := strings.Count(s.lists[0], "\n"), strings.Count(s.lists[1], "\n"); n < 2000 || m < 2000 || s.lists[0] == s.lists[1] {
		t.Fatalf("%d and %d rules", n, m)
	}
	s.want(t, 0)
	return s
}

// relearn has the agent resolve the names, as it must after each start.
func (s *applyStage) relearn(t *testing.T) {
	t.Helper()
	for _, a := range s.actors {
		if a.name != "" {
			check(t, via.Learn(s.agent, a.name))
		}
	}
}

func (s *applyStage) write(t *testing.T) {
	t.Helper()
	names := testlist.Names(7, 2200)
	address := s.actors[len(s.actors)-1].host
	var text strings.Builder
	fmt.Fprintf(&text, "%s/32 block\n%s/128 block\nuser.test vpn0 user=0\nuser.test direct\n", address.Addr4, address.Addr6)
	text.WriteString("changed.test vpn0\nkept.test vpn0\ngone.test vpn0\n198.18.0.0/16 direct\n*.unit.test vpn0 cgroup=/system.slice/a.service\n")
	for i, name := range names[:2000] {
		fmt.Fprintln(&text, name, []string{"direct", "vpn0,direct", "block"}[i%3])
	}
	config := fmt.Sprintf(`
rules:
  - {match: [%s/32, %s/128], target: vpn0}
  - {match: user.test, target: block, user: root}
  - {match: user.test, target: direct}
  - {match: changed.test, target: block}
  - {match: [kept.test, come.test], target: vpn0}
  - {match: "*.unit.test", target: direct, cgroup: /system.slice/b.service}
lists:
  - {file: names.txt, format: plain, match: exact, target: {chain: [vpn0], else: direct}}
`, address.Addr4, address.Addr6)
	for i, text := range []string{text.String(), config, strings.Join(names[200:], "\n")} {
		file := filepath.Join(s.h.Dir, []string{"old.rules", "new.yaml", "names.txt"}[i])
		check(t, os.WriteFile(file, []byte(text), 0o600))
		if i < 2 {
			s.files[i] = file
		}
	}
}

func (s *applyStage) apply(set int) []string {
	if set == 1 {
		return []string{"apply", "--config", s.files[1]} // by its cache, where there is one
	}
	return []string{"apply", "-f", s.files[0]}
}

// cached lists what is in the cache's directory.
func (s *applyStage) cached(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.cache)
	check(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// forget empties the cache, so that the next apply reads the configuration, and writes it.
func (s *applyStage) forget(t *testing.T) {
	t.Helper()
	for _, name := range s.cached(t) {
		check(t, os.Remove(filepath.Join(s.cache, name)))
	}
}

// inForce tells which of the rule sets is in force; there must be no third.
func (s *applyStage) inForce(t *testing.T) int {
	t.Helper()
	list := rulesOf(s.h)
	for set := range s.lists {
		if list == s.lists[set] {
			return set
		}
	}
	t.Fatalf("%d rules, neither the old set nor the new one", strings.Count(list, "\n"))
	return -1
}

// want fails unless a rule set is in force, as commands tell and as connections obey.
func (s *applyStage) want(t *testing.T, set int) {
	t.Helper()
	if got := s.inForce(t); got != set {
		t.Fatalf("rule set %d is in force, want %d", got, set)
	}
	if st := inspect(t, s.h); st.State != "started" || st.Rules != strings.Count(s.lists[set], "\n") {
		t.Errorf("status: %s with %d rules", st.State, st.Rules)
	}
	for _, a := range s.actors {
		wantOut(t, s.h, s.agent, a.host, a.ways[set])
	}
}

// A first start with a configuration, killed at every seventh of its system calls: what is started has all the rules, and
// what has not is not started; the next start mends it.
func TestKilledStartWithRules(t *testing.T) {
	s := newApplyStage(t)
	s.h.MustHost("killed.test") // wantTruth asks for it
	args := []string{"start", "--cgroup", s.h.Cgroup, "--config", s.files[1]}
	s.h.Must("stop")
	calls := count(t, s.h, args...)
	s.h.Must("stop")
	states := map[string]int{}
	for n := 1; n <= calls; n += 7 {
		if r := at(t, s.h, n, kill, args...); !r.Killed {
			break
		}
		state := wantTruth(t, s.h, s.agent)
		states[state]++
		if state != "started" {
			for _, a := range s.actors {
				wantOut(t, s.h, s.agent, a.host, "wan0")
			}
			if n%3 == 0 {
				s.h.Must(args...)
				state = "started"
			}
		}
		if state == "started" {
			s.relearn(t)
			s.want(t, 1)
		}
		s.h.Must("stop")
		if t.Failed() {
			t.Fatalf("at system call %d of %d", n, calls)
		}
	}
	t.Logf("%d system calls; states met: %v", calls, states)
	if states["unfinished"] == 0 || states["started"] == 0 {
		t.Errorf("states met: %v; want unfinished and started", states)
	}
}
