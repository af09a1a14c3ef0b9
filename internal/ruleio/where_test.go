package ruleio

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
	"github.com/domain-route/domain-route/internal/testlist"
)

// ask makes what is asked for of the text of a rule without its target.
func ask(t testing.TB, text string) Asked {
	t.Helper()
	words := strings.Fields(text)
	p, err := pattern.Parse(words[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := ruleset.ParseCondition(words[1:], users)
	if err != nil {
		t.Fatal(err)
	}
	return Asked{p, c}
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// geosite makes a geosite.dat of one category with one name, for it and all below.
func geosite(category, name string) string {
	domain := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	domain = protowire.AppendString(protowire.AppendTag(domain, 2, protowire.BytesType), name)
	site := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), category)
	site = protowire.AppendBytes(protowire.AppendTag(site, 2, protowire.BytesType), domain)
	return string(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), site))
}

// The line that decides: rules of the files before lists, later files and lists before earlier ones, and what a file
// removes is gone from all before it.
func TestWhere(t *testing.T) {
	f := files{
		"one": "a.x\nb.x\nc.x\n", "two": "c.x\nb.x\nr.x\n", "adb": "! comment\n||d.x^\n||e.x^\n@@||e.x^\n",
		"packed": gzipped(t, "#\n#\np.x\n"), "sites.dat": geosite("CN", "cn.x"), "in": "full:i.x\ninclude:other\n", "other": "\n\no.x\n", "gone": "r.x\ns.x\n",
	}
	c := merge(t, "a.yaml", `rules:
  - match: [a.x, =exact.x]
    target: wg0
  - {match: r.x, target: wg0, user: anna}
lists:
  - {file: one, format: plain, match: suffix, target: wg1}
  - {file: gone, format: plain, match: suffix, target: wg1}
  - {file: packed, format: plain, match: suffix, target: wg1}
  - {file: in, format: v2fly, target: wg1}
  - {file: sites.dat, format: geosite, category: cn, target: wg1}
`, "b.yaml", `remove: [r.x, s.x, =exact.x]
rules: [{match: 192.0.2.0/24, target: wg2}]
lists:
  - {file: two, format: plain, match: suffix, target: wg2, without: [c.x]}
  - {file: adb, target: wg2}
  - {file: one, format: plain, match: suffix, target: wg3, cgroup: /u}
`)
	asked := []string{"a.x", "b.x", "c.x", "r.x", "s.x", "=exact.x", "r.x user=1000", "d.x", "e.x", "192.0.2.0/24", "p.x", "=i.x", "o.x",
		"a.x cgroup=/u", "cn.x", "default", "nowhere.x", "a.x user=1000"}
	var rules []Asked
	for _, text := range asked {
		rules = append(rules, ask(t, text))
	}
	got, err := c.Where(LoadOptions{Open: f.open, Users: users}, rules)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for i, r := range rules {
		if w, ok := got[r]; ok {
			texts[asked[i]] = w.String() + " " + w.Target.String()
		}
	}
	want := map[string]string{
		"a.x": "a.yaml:2 wg0", "b.x": "two:2 wg2", "c.x": "one:3 wg1", "r.x": "two:3 wg2", "r.x user=1000": "a.yaml:4 wg0",
		"d.x": "adb:2 wg2", "e.x": "adb:4 direct", "192.0.2.0/24": "b.yaml:2 wg2", "p.x": "packed:3 wg1",
		"=i.x": "in:1 wg1", "o.x": "other:3 wg1", "a.x cgroup=/u": "one:1 wg3", "cn.x": "sites.dat, category cn wg1",
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Error(d)
	}
}

// What Load comes to is what Where finds, with the same targets, at a line that has it.
func TestWhereProperty(t *testing.T) {
	r := chance{rand.New(rand.NewPCG(5, 6))}
	found := 0
	for round := range 200 {
		f := files{}
		var texts []string
		var all []Asked
		for part := range 3 {
			name := fmt.Sprintf("%d.yaml", part)
			lines := []string{"remove:"}
			for range r.IntN(4) + 1 {
				lines = append(lines, fmt.Sprintf("  - %q", r.pattern(t)))
			}
			lines = append(lines, "rules:")
			mine := map[pattern.Pattern]bool{}
			for range r.IntN(6) + 1 {
				p := r.pattern(t)
				if mine[p] {
					continue
				}
				mine[p] = true
				lines = append(lines, fmt.Sprintf("  - {match: %q, target: wg%d}", p, r.IntN(3)))
				all = append(all, Asked{Pattern: p})
			}
			lines = append(lines, "lists:")
			for n := range 2 {
				list := fmt.Sprintf("%d.%d", part, n)
				for range r.IntN(10) + 1 {
					if p := r.pattern(t); p.Kind != pattern.Default {
						f[list] += p.String() + "\n"
						all = append(all, Asked{Pattern: p})
					}
				}
				f[list] += "last.test\n"
				lines = append(lines, fmt.Sprintf("  - {file: %q, format: plain, match: suffix, target: wg%d}", list, r.IntN(3)))
			}
			texts = append(texts, name, strings.Join(lines, "\n")+"\n")
			f[name] = strings.Join(lines, "\n")
		}
		loaded := load(t, f, texts...)
		got, err := merge(t, texts...).Where(LoadOptions{Open: f.open}, all)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			target, there := loaded.Rules.Get(a.Pattern, a.Condition)
			w, ok := got[a]
			if ok != there || ok && w.Target != target {
				t.Fatalf("round %d, %v: at %v to %v (%v), want %v (%v) in\n%v", round, a.Pattern, w, w.Target, ok, target, there, texts)
			}
			if !ok {
				continue
			}
			found++
			line := strings.Split(f[w.Path], "\n")[w.Line-1]
			if !strings.Contains(line, strings.Trim(fmt.Sprintf("%q", a.Pattern), `"`)) && !strings.Contains(line, a.Pattern.String()) {
				t.Fatalf("round %d: %v is not at %v: %q", round, a.Pattern, w, line)
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d places found", found)
	}
}

// A list that cannot be read is told.
func TestWhereUnreadable(t *testing.T) {
	c := merge(t, "a.yaml", "lists: [{file: none, format: plain, match: suffix, target: wg1}]\n")
	if _, err := c.Where(LoadOptions{Open: files{}.open}, []Asked{ask(t, "a.x")}); err == nil || !strings.HasPrefix(err.Error(), "a.yaml:1:") {
		t.Error(err)
	}
	if _, err := c.Where(LoadOptions{Open: files{}.open}, nil); err != nil { // nothing asked, nothing read
		t.Error(err)
	}
}

// BenchmarkWhere goes through a list of a million names to its last line.
func BenchmarkWhere(b *testing.B) {
	const last = "last.where.test"
	names := strings.Join(append(testlist.Names(1, 1_000_000), last), "\n")
	c := merge(b, "a.yaml", "lists: [{file: list, format: plain, match: suffix, target: wg1}]\n")
	for b.Loop() {
		got, err := c.Where(LoadOptions{Open: files{"list": names}.open}, []Asked{ask(b, last), ask(b, "default")})
		if err != nil || len(got) != 1 {
			b.Fatal(got, err)
		}
	}
}
