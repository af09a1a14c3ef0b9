package listformat

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/testlist"
)

// What a list takes back of its own is not among its items.
func TestTakenBack(t *testing.T) {
	for _, tt := range []struct {
		format Format
		in     string
		want   []string
	}{
		{Adblock, "||x^\n||a.x^\n0.0.0.0 x b.x\nb.x\n||y^\n||xx^\n@@||x^", []string{"y", "xx", "@x"}},
		{Adblock, "@@||a.x^\n||x^\nx\n||b.a.x^", []string{"x", "=x", "@a.x"}},
		{Adblock, "@@||x^\n||a.x^$important\n||x^", []string{"@x", "a.x"}},
		{Adblock, "@@||x^\n@@||a.x^\n||x^$important", []string{"x"}},
		{Adblock, "@@||x^$important\n||x^$important\n||a.x^$important\n||y.a.x^", []string{"@x"}},
		{Adblock, "||x^$badfilter\n||x^\n||a.x^\nx", []string{"a.x", "=x"}},
		{Adblock, "||x^\n@@||x^\n@@||x^$badfilter", []string{"x"}},
		{Adblock, "||x^$important\n||x^\n||x^$badfilter,important", []string{"x"}},
		{Adblock, "@@||x^\n||x^$important\n||x^$important,badfilter", []string{"@x"}},
		{Adblock, "||x^$third-party,badfilter\n||x^\nx$badfilter", []string{"x", "modifier: ||x^$third-party,badfilter", "part of a name: x$badfilter"}},
		{Adblock, "||192.0.2.1^\n||192.0.2.2^\n@@||192.0.2.1^\n||::1:1^\n||::1:1^$badfilter", []string{"192.0.2.2", "@192.0.2.1"}},
		{Dnsmasq, "server=/x/1.1.1.1\nserver=/a.x/1.1.1.1\nserver=/*.x/1.1.1.1\nserver=/x/#", []string{"a.x", "*.x", "@x"}},
	} {
		if diff := cmp.Diff(tt.want, say(t, tt.in, Options{Format: tt.format})); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.format, tt.in, diff)
		}
	}
}

// A list of nothing but exceptions ends with an error, before they fill memory.
func TestTooManyExceptions(t *testing.T) {
	var b strings.Builder
	for i := range maxMarks + 1 {
		fmt.Fprintf(&b, "@@||n%d^\n", i)
	}
	_, err := Read(strings.NewReader(b.String()), Options{Format: Adblock}, func(Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "exceptions") {
		t.Errorf("%v", err)
	}
}

// An entry that waits takes little more than the bytes of its name. The marks of exceptions are let go before these are
// given out, and what is given out is.
func TestExceptingMemory(t *testing.T) {
	const names = 200_000
	for _, around := range []string{"||%s^\n", "@@||%s^\n"} {
		var b strings.Builder
		for _, n := range testlist.Names(1, names) {
			fmt.Fprintf(&b, around, n)
		}
		text := b.String()
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before, first, last, n := heap(), int64(0), int64(0), 0
		_, err := Read(strings.NewReader(text), Options{Format: Adblock}, func(Item) error {
			switch n++; n {
			case 1:
				first = heap() - before
			case names:
				last = heap() - before
			}
			return nil
		})
		runtime.KeepAlive(text)
		if err != nil || n != names || first > 40*names || last > 3<<20 {
			t.Errorf("%q: %d items, %v; %d bytes held at first, %d at last", around, n, err, first, last)
		}
	}
}

// naiveAdblockWord is what AdGuard's words on precedence make of a name: each rule that matches it and that no
// $badfilter takes away, in the order important exception, important, exception, any.
func naiveAdblockWord(rules []string, name string) string {
	bad := map[string]bool{}
	for _, rule := range rules {
		if plain := strings.NewReplacer("$badfilter,important", "$important", ",badfilter", "", "$badfilter", "").Replace(rule); plain != rule {
			bad[plain] = true
		}
	}
	best, rank := "none", 0
	for _, rule := range rules {
		body, important := strings.CutSuffix(rule, "$important")
		body, exception := strings.CutPrefix(body, "@@")
		zone, suffix := strings.CutPrefix(strings.TrimSuffix(body, "^"), "||")
		own := 1
		word := "target"
		if important {
			own += 2
		}
		if exception {
			own, word = own+1, "direct"
		}
		hit := strings.TrimPrefix(zone, "0.0.0.0 ") == name || suffix && strings.HasSuffix(name, "."+zone)
		if hit && !bad[rule] && !strings.Contains(rule, "badfilter") && own > rank {
			best, rank = word, own
		}
	}
	return best
}

// itemsWord is what the most specific item says of a name.
func itemsWord(items map[string]string, name string) string {
	if w := items["="+name]; w != "" {
		return w
	}
	for zone, more := name, true; more; _, zone, more = strings.Cut(zone, ".") {
		if w := items[zone]; w != "" {
			return w
		}
	}
	return "none"
}

// The items, of which the most specific decides, are to every name what the rules are to AdGuard.
func TestAdblockMeansWhatItsAuthorWrote(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var names []string
	for _, a := range []string{"", "a.", "b."} {
		for _, b := range []string{"x", "a.x", "b.x", "a.a.x", "b.a.x", "y", "a.y"} {
			names = append(names, a+b)
		}
	}
	forms := []string{"||N^", "||N^", "0.0.0.0 N", "N", "@@||N^", "@@||N^", "||N^$important", "@@||N^$important",
		"||N^$badfilter", "@@||N^$badfilter", "||N^$important,badfilter", "||N^$badfilter,important", "@@||N^$important,badfilter"}
	for range 5000 {
		var rules []string
		for range 1 + r.IntN(7) {
			rules = append(rules, strings.ReplaceAll(forms[r.IntN(len(forms))], "N", names[r.IntN(len(names))]))
		}
		items := map[string]string{}
		_, err := Read(strings.NewReader(strings.Join(rules, "\n")), Options{Format: Adblock}, func(i Item) error {
			word := "target"
			if i.Exception {
				word = "direct"
			}
			if old := items[i.Pattern.String()]; old != "" && old != word {
				t.Errorf("%q: %s is both", rules, i.Pattern)
			}
			items[i.Pattern.String()] = word
			return nil
		})
		for _, n := range names {
			if got, want := itemsWord(items, n), naiveAdblockWord(rules, n); err != nil || got != want {
				t.Fatalf("%q: %s is %s, want %s; %v, %v", rules, n, got, want, items, err)
			}
		}
	}
}
