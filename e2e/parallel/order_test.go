package parallel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// history reads operations: "FROM-TO KEY WAS>SET" (- is no rule), "FROM-TO list KEY=TARGET...".
func history(t *testing.T, lines ...string) []operation {
	t.Helper()
	var all []operation
	for _, line := range lines {
		f := strings.Fields(line)
		o := operation{text: line}
		var from, to int
		if _, err := fmt.Sscanf(f[0], "%d-%d", &from, &to); err != nil {
			t.Fatal(err)
		}
		o.began, o.ended = time.Duration(from), time.Duration(to)
		if f[1] == "list" {
			o.seen = map[string]string{}
			for _, rule := range f[2:] {
				key, target, _ := strings.Cut(rule, "=")
				o.seen[key] = target
			}
		} else {
			was, set, _ := strings.Cut(strings.ReplaceAll(f[2], "-", ""), ">")
			o.key, o.was, o.set = f[1], was, set
		}
		all = append(all, o)
	}
	return all
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		name string
		ok   bool
		ops  []string
	}{
		{"nothing", true, nil},
		{"one after the other", true, []string{"0-1 a ->x", "2-3 a x>y", "4-5 list a=y", "6-7 a y>-", "8-9 list"}},
		{"at once, the later first", true, []string{"0-9 a x>y", "0-9 a ->x", "10-11 list a=y"}},
		{"delete finds nothing before the add", true, []string{"0-9 a ->x", "0-9 a ->-", "10-11 list a=x"}},
		{"a list amid", true, []string{"0-9 a ->x", "0-9 b ->y", "0-9 list b=y", "10-11 list a=x b=y"}},
		{"two lives, one order only", true, []string{"0-9 a ->x", "0-9 a ->y", "0-9 a x>-", "10-11 list a=y"}},
		{"two lives, a list tells which was first", true,
			[]string{"0-9 a ->x", "0-9 a ->y", "0-9 a x>-", "0-9 a y>-", "0-9 b ->z", "0-9 list a=x", "0-9 list a=y b=z", "10-11 list b=z"}},

		{"a lost update", false, []string{"0-9 a ->x", "0-9 a x>y", "0-9 a x>z", "10-11 list a=z"}},
		{"a lost first add", false, []string{"0-9 a ->x", "0-9 a ->y", "10-11 list a=y"}},
		{"a lost add of another key", false, []string{"0-9 a ->x", "0-9 b ->y", "10-11 list a=x"}},
		{"a change lost in the end", false, []string{"0-9 a ->x", "0-9 a x>y", "10-11 list a=x"}},
		{"a delete that did nothing", false, []string{"0-1 a ->x", "2-3 a x>-", "4-5 list a=x"}},
		{"a target that nobody set", false, []string{"0-9 a ->x", "0-9 list a=y"}},
		{"a rule that nobody added", false, []string{"0-9 a ->x", "10-11 list a=x b=y"}},
		{"deleted twice", false, []string{"0-9 a ->x", "0-9 a x>-", "0-9 a x>-"}},
		{"a stale list", false, []string{"0-1 a ->x", "2-3 list"}},
		{"a stale list that began in time", true, []string{"0-2 a ->x", "1-3 list"}},
		{"a stale look of a delete", false, []string{"0-1 a ->x", "2-3 a ->-"}},
		{"a list of the future", false, []string{"0-1 list a=x", "2-3 a ->x"}},
		{"two lists that saw two orders", false,
			[]string{"0-9 a ->x", "0-9 b ->y", "0-9 list a=x", "0-9 list b=y", "10-11 list a=x b=y"}},
		{"a list torn between two changes", false,
			[]string{"0-1 a ->x", "0-1 b ->y", "2-3 a x>X", "4-5 b y>Y", "0-9 list a=x b=Y"}},
		{"backwards", false, []string{"0-1 a ->x", "2-3 a x>y", "4-5 list a=y", "6-7 list a=x"}},
	} {
		err := explain(nil, history(t, c.ops...))
		if (err == nil) != c.ok || errors.Is(err, errTooLong) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := explain(map[string]string{"a": "x"}, history(t, "0-1 list a=x", "2-3 a x>-")); err != nil {
		t.Errorf("with a first table: %v", err)
	}
}

// Histories that a real lock made are explained; when one of their results is changed they mostly are not, and none of
// those with an update lost is.
func TestExplainRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		all := invent(r, 64, 6)
		if err := explain(nil, all); err != nil {
			t.Fatalf("history %d: %v", i, err)
		}
		if lost := lose(r, all); lost != nil {
			if err := explain(nil, lost); err == nil || errors.Is(err, errTooLong) {
				t.Fatalf("history %d: with an update lost: %v", i, err)
			}
		}
	}
}

// invent has so many commands at once happen one after the other, in an order that is then hidden.
func invent(r *rand.Rand, n, keys int) []operation {
	table := map[string]string{}
	var all []operation
	for i := range n {
		o := operation{text: fmt.Sprint("command ", i)}
		at := time.Duration(10 * i)
		o.began, o.ended = max(0, at-time.Duration(r.IntN(400))), at+1+time.Duration(r.IntN(400))
		o.key = fmt.Sprint("k", r.IntN(keys))
		switch o.was = table[o.key]; r.IntN(4) {
		case 0:
			delete(table, o.key)
		case 1:
			o.key, o.was, o.seen = "", "", map[string]string{}
			for key, target := range table {
				o.seen[key] = target
			}
		default:
			o.set = fmt.Sprint("t", i)
			table[o.key] = o.set
		}
		all = append(all, o)
	}
	end := all[0].ended
	for _, o := range all {
		end = max(end, o.ended)
	}
	all = append(all, operation{text: "the last list", began: end + 1, ended: end + 2, seen: table})
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// lose makes a history of one that wrote over a target find what that one found: two commands read the same table, and
// the one wrote over what the other wrote. nil without such a pair.
func lose(r *rand.Rand, all []operation) []operation {
	for _, i := range r.Perm(len(all)) {
		for j, o := range all {
			if first := all[i]; first.seen == nil && first.set != "" && o.seen == nil && o.key == first.key && o.was == first.set {
				lost := slices.Clone(all)
				lost[j].was = first.was
				return lost
			}
		}
	}
	return nil
}
