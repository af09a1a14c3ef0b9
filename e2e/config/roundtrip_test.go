package config

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// What rule list prints, apply -f - takes back unchanged: of random sets, applied from text in any order and spelling.
func TestRoundTrip(t *testing.T) {
	s := startedSite(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 15 {
		rules := randomRules(r)
		var lines []string
		for key, target := range rules {
			pattern, condition, _ := strings.Cut(key, " ")
			lines = append(lines, strings.ToUpper(pattern)+" \t"+target+" "+condition)
		}
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if got := s.with("# no rules\n"+strings.Join(lines, "\n"), "apply", "-f", "-"); got.Code != 0 {
			t.Fatalf("round %d: %s\n%s", round, got.Stderr, strings.Join(lines, "\n"))
		}
		listed := s.rules()
		var want []string
		for key, target := range rules {
			pattern, condition, _ := strings.Cut(key, " ")
			want = append(want, strings.TrimSpace(pattern+" "+target+" "+condition))
		}
		got := strings.Split(strings.TrimSpace(listed), "\n")
		slices.Sort(want)
		slices.Sort(got)
		if len(rules) == 0 {
			want = []string{"# no rules"}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: listed\n%q\nwant\n%q", round, got, want)
		}
		if again := s.with(listed, "apply", "-f", "-"); again.Code != 0 || again.Stdout != "" || !strings.Contains(again.Stderr, "nothing to change") {
			t.Fatalf("round %d: %s\n%s", round, again.Stdout, again.Stderr)
		}
		s.with("# no rules\n", "apply", "-f", "-")
		if again := s.with(listed, "apply", "-f", "-"); again.Code != 0 || s.rules() != listed {
			t.Fatalf("round %d: %s\n%s\nwas\n%s", round, again.Stderr, s.rules(), listed)
		}
	}
}

// randomRules makes rules up: canonical pattern, a space, canonical condition; to canonical target.
func randomRules(r *rand.Rand) map[string]string {
	names := []string{"a.test", "b.a.test", "c.b.a.test", "xn--bcher-kva.example", "default.", "_srv._tcp.x.test", `a\.b.test`, `\035.test`, "test"}
	prefixes := []string{"192.0.2.0/24", "192.0.2.1", "192.0.0.0/8", "2001:db8::/32", "2001:db8::1", "2001:db8::", "::/0", "0.0.0.0/0"}
	targets := []string{"vpn0", "wan0,vpn0", "gone0,direct", "direct", "block", "mark:0x23", "a,b,c,d,direct"}
	conditions := []string{"", "", "", "user=0", "user=1000", "user=4294967294", "cgroup=/x", "cgroup=/x/y", "cgroup=/bücher.slice",
		"user=1000 cgroup=/x", `cgroup=/system.slice/a\x2db.service`}
	rules := map[string]string{}
	for range r.IntN(40) {
		p := names[r.IntN(len(names))]
		switch r.IntN(6) {
		case 0:
			p = "=" + strings.TrimSuffix(p, ".")
		case 1:
			p = "*." + strings.TrimSuffix(p, ".")
		case 2:
			p = prefixes[r.IntN(len(prefixes))]
		case 3:
			p = "default"
		case 4:
			p = fmt.Sprintf("n%d.test", r.IntN(1000))
		}
		rules[p+" "+conditions[r.IntN(len(conditions))]] = targets[r.IntN(len(targets))]
	}
	return rules
}
