package ruleset

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

// asked is one question to a rule set.
type asked struct {
	name pattern.Name
	addr netip.Addr
	who  Who
}

// naiveHolds reads a condition anew, label by label.
func naiveHolds(c Condition, w Who) bool {
	if c.User && c.UID != w.UID {
		return false
	}
	if c.Cgroup == "" {
		return true
	}
	for up := w.Cgroup; up != ""; {
		if up == c.Cgroup {
			return true
		}
		for up[len(up)-1] != '/' {
			up = up[:len(up)-1]
		}
		up = up[:len(up)-1]
	}
	return false
}

// naiveRank numbers how specific a rule is: the pattern first, its condition then.
func naiveRank(r Rule) int {
	rank := 0
	switch r.Pattern.Kind {
	case pattern.Exact:
		rank = len(r.Pattern.Name)*4 + 2
	case pattern.Subdomains:
		rank = len(r.Pattern.Name)*4 + 1
	case pattern.Suffix:
		rank = len(r.Pattern.Name) * 4
	case pattern.Prefix:
		rank = r.Pattern.Prefix.Bits() + 1
	}
	rank *= 100_000
	if r.Condition.Cgroup != "" {
		rank += 100
		for _, b := range r.Condition.Cgroup {
			if b == '/' {
				rank++
			}
		}
		if r.Condition.User {
			rank += 10_000
		}
	} else if r.Condition.User {
		rank++
	}
	return rank
}

// naive finds the most specific of the rules that match and hold.
func naive(rules []Rule, w Who, matches func(pattern.Pattern) bool) (best Rule, ok bool) {
	for _, r := range rules {
		if matches(r.Pattern) && naiveHolds(r.Condition, w) && (!ok || naiveRank(r) > naiveRank(best)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// checkDecision compares what the set, the compiled set and the plain reading of all its rules say to one question.
func checkDecision(t *testing.T, s *Set, rules []Rule, c Compiled, key pattern.HashKey, q asked) (decided int) {
	t.Helper()
	compare := func(stage string, got Rule, ok bool, compiled Ref, matches func(pattern.Pattern) bool) {
		t.Helper()
		want, there := naive(rules, q.who, matches)
		if got != want || ok != there {
			t.Fatalf("%s of %v: set says %v %v, want %v %v, in\n%s", stage, q, got, ok, want, there, text(t, s))
		}
		if there != (compiled != 0) || there && c.Targets[compiled-1] != want.Target {
			t.Fatalf("%s of %v: compiled says %d of %v, want %v, in\n%s", stage, q, compiled, c.Targets, want, text(t, s))
		}
		if there {
			decided++
		}
	}
	isName := func(p pattern.Pattern) bool { return p.Kind != pattern.Default && p.Matches(q.name) }
	if q.name != "" {
		r, ok := s.MatchName(q.name, q.who)
		ref, _ := c.MatchName(key.SuffixHashes(q.name), q.who)
		compare("name", r, ok, ref, isName)
		mentioned := false
		for _, r := range rules {
			mentioned = mentioned || isName(r.Pattern)
		}
		if s.Mentions(q.name) != mentioned {
			t.Fatalf("mentions %s: %v, in\n%s", q.name, !mentioned, text(t, s))
		}
	}
	if q.addr.IsValid() {
		r, ok := s.MatchAddr(q.addr, q.who)
		compare("address", r, ok, c.MatchAddr(q.addr, q.who), func(p pattern.Pattern) bool { return p.Contains(q.addr) })
	}
	r, ok := s.Default(q.who)
	compare("default", r, ok, c.MatchDefault(q.who), func(p pattern.Pattern) bool { return p.Kind == pattern.Default })
	return decided
}

// The set and its compiled form decide as the plain reading of the rules does.
func TestCompiledProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	decided, pruned, choices := 0, 0, 0
	for range 400 {
		var key pattern.HashKey
		binary.LittleEndian.PutUint64(key[:], r.Uint64())
		binary.LittleEndian.PutUint64(key[8:], r.Uint64())
		s := randomSet(t, r)
		c, err := s.Compile(key)
		if err != nil {
			t.Fatal(err)
		}
		rules := s.Rules()
		pruned += s.names.rules - len(c.Entries) + len(s.prefixes) - len(c.Prefixes)
		choices += len(c.Choices)
		for i := range 100 {
			q := asked{mustName(t, randomText(r)), randomAddr(r), randomWho(r)}
			if i == 0 {
				q.name = pattern.Root
			}
			decided += checkDecision(t, s, rules, c, key, q)
		}
	}
	if decided < 10_000 || pruned < 300 || choices < 3000 {
		t.Errorf("only %d decisions, %d entries left out and %d choices among the samples", decided, pruned, choices)
	}
}
