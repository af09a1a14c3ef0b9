package ruleio

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// chance makes rules up, few enough of a kind that they meet.
type chance struct{ *rand.Rand }

func (r chance) of(words ...string) string { return words[r.IntN(len(words))] }

func (r chance) name() string {
	labels := []string{r.of("x", "y", "default")}
	for range r.IntN(4) {
		labels = append([]string{r.of("a", "b", "no", "1e3", `\039`)}, labels...)
	}
	return strings.Join(labels, ".")
}

func (r chance) address() netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, byte(r.IntN(4)) << 6, 0, byte(r.IntN(3))})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, byte(r.IntN(4)) << 6})
}

func (r chance) pattern(t testing.TB) pattern.Pattern {
	t.Helper()
	text := r.of("", "", "=", "*.") + r.name()
	if r.IntN(3) == 0 {
		p, err := r.address().Prefix(8 + r.IntN(4))
		if r.IntN(4) == 0 {
			a := r.address()
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			t.Fatal(err)
		}
		text = p.String()
	}
	switch {
	case r.IntN(20) == 0 || text == "default":
		text = "default."
	case r.IntN(30) == 0:
		text = "default"
	}
	p, err := pattern.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var cgroups = []string{"/a", "/a/b", "/ö.slice/it's", `/q"u\x2d`}

func (r chance) condition() (c ruleset.Condition) {
	if r.IntN(4) == 0 {
		c.User, c.UID = true, r.Uint32N(3)*2147483647
	}
	if r.IntN(4) == 0 {
		c.Cgroup = r.of(cgroups...)
	}
	return c
}

func (r chance) target(t testing.TB) ruleset.Target {
	t.Helper()
	target, err := ruleset.ParseTarget(r.of("direct", "block", "mark:0x23", "wg0", "wg0,wwan0,direct", "wg#0", "office", "it's,ö", "no"))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (r chance) set(t testing.TB) *ruleset.Set {
	s := ruleset.New()
	for range r.IntN(40) {
		s.Add(ruleset.Rule{Pattern: r.pattern(t), Condition: r.condition(), Target: r.target(t)})
	}
	return s
}

func canonical(t testing.TB, s *ruleset.Set) string {
	t.Helper()
	text, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The configuration and the saved file come to the running rules, whatever both are.
func TestSaveProperty(t *testing.T) {
	r := chance{rand.New(rand.NewPCG(1, 2))}
	for round := range 300 {
		before, running := r.set(t), r.set(t)
		// Half of it as rules, half as a list, and a target that has the name of an interface.
		var list strings.Builder
		base := newGroups()
		for rule := range before.All() {
			if rule.Condition == (ruleset.Condition{}) && rule.Target.String() == "wg0" && rule.Pattern.Kind != pattern.Default {
				fmt.Fprintln(&list, rule.Pattern)
			} else {
				base.add(group{rule.Condition, rule.Target}, rule.Pattern)
			}
		}
		var config strings.Builder
		config.WriteString("targets: {office: block, no1: direct}\nlists: [{file: l, format: plain, match: suffix, target: wg0}]\n")
		base.write(&config, "rules")
		f := files{"l": list.String()}
		configured := load(t, f, "c.yaml", config.String())
		if got, want := canonical(t, configured.Rules), canonical(t, before); got != want {
			t.Fatalf("round %d: the configuration\n%s\ncomes to\n%s\nnot\n%s", round, config.String(), got, want)
		}
		saved, err := SaveFile(running, configured.Rules)
		if err != nil {
			t.Fatal(err)
		}
		after := load(t, f, "c.yaml", config.String(), "config.d/99-saved.yaml", string(saved))
		if got, want := canonical(t, after.Rules), canonical(t, running); got != want {
			t.Fatalf("round %d: with\n%s\nthe rules are\n%s\nnot\n%s", round, saved, got, want)
		}
		again := load(t, f, "c.yaml", config.String(), "config.d/99-saved.yaml", string(saved))
		if canonical(t, again.Rules) != canonical(t, after.Rules) {
			t.Fatalf("round %d: loading twice differs", round)
		}
	}
}

func TestSaveLarge(t *testing.T) {
	running := ruleset.New()
	for i := range 200_000 {
		p, err := pattern.Parse(fmt.Sprintf("n%d.example.com", i))
		if err != nil {
			t.Fatal(err)
		}
		running.Add(ruleset.Rule{Pattern: p, Target: ruleset.Target{Kind: ruleset.Block}})
	}
	if _, err := SaveFile(running, ruleset.New()); err == nil || !strings.Contains(err.Error(), "200000 rules differ") {
		t.Errorf("got %v", err)
	}
}

func TestSaveText(t *testing.T) {
	var running, configured ruleset.Set
	for set, text := range map[*ruleset.Set]string{
		&running:    "a.b wg0,wwan0,direct\n*.c wg0,wwan0,direct\n10.0.0.0/8 mark:0x23 user=5 cgroup=/x\nsame block\n",
		&configured: "gone wg1\n=too wg1 user=7\na.b wg1\nsame block\n",
	} {
		if err := set.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	want := savedHead + `remove:
  - match:
      - 'gone'
  - match:
      - '=too'
    user: 7
rules:
  - match:
      - 'a.b'
      - '*.c'
    target: {chain: ['wg0', 'wwan0'], else: direct}
  - match:
      - '10.0.0.0/8'
    target: 'mark:0x23'
    user: 5
    cgroup: '/x'
`
	if got, err := SaveFile(&running, &configured); err != nil || string(got) != want {
		t.Errorf("%v, got\n%s", err, got)
	}
	if got, err := SaveFile(&running, &running); err != nil || string(got) != savedHead {
		t.Errorf("nothing differs: %v, got\n%s", err, got)
	}
}
