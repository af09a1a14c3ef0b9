package ruleset

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Entry is what the kernel side knows of one name that rules mention. Apex and Sub
// are target numbers, 0 none, which makes a lookup go on to shorter suffixes.
type Entry struct {
	Hash uint64 // of the name, by HashKey.Hash
	Apex uint32 // for the name itself: Exact wins over Suffix
	Sub  uint32 // for names below it: Subdomains wins over Suffix
}

// Compiled is a rule set ready for the kernel.
type Compiled struct {
	Entries []Entry  // by ascending hash, all distinct, none 0
	Targets []Target // Targets[i] has number i+1; distinct, each in use, by String
	Default uint32   // target number of the Default rule, 0 none
}

// Compile hashes the names of s with key. It fails when two names have one hash,
// which a new key cures, and when a rule other than Default is for the root.
func (s *Set) Compile(key pattern.HashKey) (Compiled, error) {
	entries := make([]Entry, 0, len(s.entries))
	used := make([]bool, len(s.targets)+1)
	for _, from := range s.entries {
		e, at := Entry{Hash: key.Hash(from.name)}, from.at
		if e.Hash == 0 {
			return Compiled{}, fmt.Errorf("compile rules: %q has rules other than default", from.name.String())
		}
		apex, sub := at[pattern.Exact], at[pattern.Subdomains]
		if apex == 0 {
			apex = at[pattern.Suffix]
		}
		if sub == 0 {
			sub = at[pattern.Suffix]
		}
		used[apex], used[sub] = true, true
		e.Apex, e.Sub = uint32(apex), uint32(sub)
		entries = append(entries, e)
	}
	used[s.def] = true
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Hash, b.Hash) })
	for i := 1; i < len(entries); i++ {
		if entries[i].Hash == entries[i-1].Hash {
			return Compiled{}, s.collision(key, entries[i].Hash)
		}
	}
	numbers, targets := s.number(used)
	for i := range entries {
		entries[i].Apex = numbers[entries[i].Apex]
		entries[i].Sub = numbers[entries[i].Sub]
	}
	return Compiled{entries, targets, numbers[s.def]}, nil
}

// number gives the used targets numbers from 1 by their text, so that one set of
// rules always compiles to the same numbers.
func (s *Set) number(used []bool) (numbers []uint32, targets []Target) {
	type text struct {
		id   int
		text string
	}
	var order []text
	for id := 1; id < len(used); id++ {
		if used[id] {
			order = append(order, text{id, s.targets[id-1].String()})
		}
	}
	slices.SortFunc(order, func(a, b text) int {
		return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.id, b.id))
	})
	numbers = make([]uint32, len(used))
	for i, o := range order {
		numbers[o.id] = uint32(i + 1)
		targets = append(targets, s.targets[o.id-1])
	}
	return numbers, targets
}

// collision names the names that share a hash.
func (s *Set) collision(key pattern.HashKey, hash uint64) error {
	var names []string
	for _, e := range s.entries {
		if key.Hash(e.name) == hash {
			names = append(names, e.name.String())
		}
	}
	slices.Sort(names)
	return fmt.Errorf("compile rules: %q have the same hash %#x; use another key", names, hash)
}

// Match is what the kernel side does with the SuffixHashes of a name: it tries them
// from the longest suffix down and returns the number of the deciding target, with
// the hash of the suffix that decided. Default is rule 0; target is 0 when no rule
// matches.
func (c Compiled) Match(hashes []uint64) (target uint32, rule uint64) {
	for i := len(hashes) - 1; i > 0; i-- {
		at, ok := slices.BinarySearchFunc(c.Entries, hashes[i], func(e Entry, h uint64) int {
			return cmp.Compare(e.Hash, h)
		})
		if !ok {
			continue
		}
		target = c.Entries[at].Sub
		if i == len(hashes)-1 {
			target = c.Entries[at].Apex
		}
		if target != 0 {
			return target, hashes[i]
		}
	}
	return c.Default, 0
}
