package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Ref is what a compiled pattern leads to: 0 nothing, below ChoiceBit the number of a target (Targets[ref-1]), else
// ChoiceBit and an index into Choices.
type Ref uint32

// ChoiceBit tells a choice from a target.
const ChoiceBit Ref = 1 << 31

// Bounds of a compiled rule set.
const (
	MaxChoices         = 16   // in one chain, and so conditions of one pattern
	MaxDistinctChoices = 4096 // in all
)

// Entry is what the kernel side knows of one name that rules mention. Where the name itself has no rule of the kind, that of
// the nearest suffix stands; 0: no suffix has one either.
type Entry struct {
	Hash uint64 // of the name, by HashKey.Hash
	Apex Ref    // for the name itself: Exact wins over Suffix
	Sub  Ref    // for names below it: Subdomains wins over Suffix
}

// PrefixEntry is what the kernel side knows of one prefix that rules mention. The longest that covers an address
// decides alone.
type PrefixEntry struct {
	Prefix netip.Prefix
	To     Ref // never 0
}

// Choice is one condition of a pattern. What applies where none holds is in it already, from less specific patterns of
// the same stage, too: Otherwise 0 is the next stage (addresses after names, the default after addresses).
type Choice struct {
	Condition Condition // never the zero one
	Then      Ref       // a target
	Otherwise Ref
}

// Compiled is a rule set ready for the kernel.
type Compiled struct {
	Entries  []Entry       // by ascending hash, all distinct, none 0
	Prefixes []PrefixEntry // by address and length, IPv4 first
	Targets  []Target      // Targets[i] has number i+1; distinct, each in use, by String
	Choices  []Choice      // distinct; Otherwise is never a later one's
	Default  Ref           // of the Default rules
}

// ErrTooManyConditions is returned for a rule set with more conditions than the kernel side tries.
var ErrTooManyConditions = errors.New("too many conditions")

// Compile hashes the names of s with key. It fails when two names have one hash, which a new key cures, when a rule
// other than Default is for the root, and with ErrTooManyConditions when the bounds MaxChoices and MaxDistinctChoices are
// exceeded.
//
// Names and prefixes that change nothing, because a less specific pattern leads to the same, are left out.
func (s *Set) Compile(key pattern.HashKey) (Compiled, error) {
	c := newCompiler(s)
	if err := c.names(key); err != nil {
		return Compiled{}, err
	}
	if err := c.prefixes(); err != nil {
		return Compiled{}, err
	}
	def, err := c.chain(0, s.def)
	if err != nil {
		return Compiled{}, fmt.Errorf("compile rules: default: %w", err)
	}
	c.out.Default = def
	sortByHash(c.out.Entries)
	for i := 1; i < len(c.out.Entries); i++ {
		if c.out.Entries[i].Hash == c.out.Entries[i-1].Hash {
			return Compiled{}, s.collision(key, c.out.Entries[i].Hash)
		}
	}
	c.number()
	return c.out, nil
}

// compiler holds what is compiled so far. Its references to targets are targetIDs until number.
type compiler struct {
	set     *Set
	out     Compiled
	choices map[Choice]Ref
	chains  map[chainOf]Ref // made before
	last    chainOf         // the one made last, and what it came to
	lastRef Ref
}

// chainOf is what a chain is made of: the slots of one name, and what the less specific patterns lead to.
type chainOf struct {
	first, second slot
	inherited     Ref
}

func newCompiler(s *Set) *compiler {
	return &compiler{
		set: s, out: Compiled{Entries: make([]Entry, 0, s.names.rules)},
		choices: map[Choice]Ref{}, chains: map[chainOf]Ref{},
	}
}

// level is one label of a name on the way down from the root.
type level struct {
	end  int    // of its label in the key
	hash uint64 // of the name down to it
	sub  Ref    // what names below it lead to
}

// names compiles the entries in the order of their keys: parents come before their children, and what a name has in
// common with the one before is known already.
func (c *compiler) names(key pattern.HashKey) error {
	c.set.names.tidy()
	var before []byte
	way := []level{{}}
	for _, from := range c.set.names.list {
		if from.at == (slots{}) {
			continue
		}
		name := c.set.names.keys.get(from.key)
		if len(name) == 0 {
			return errors.New("compile rules: \".\" has rules other than default")
		}
		common := commonLength(before, name)
		for way[len(way)-1].end > common {
			way = way[:len(way)-1]
		}
		way = descend(way, name, key)
		before = name
		last := &way[len(way)-1]
		e, err := c.entry(from.at, last.sub)
		if err != nil {
			return fmt.Errorf("compile rules: %s: %w", pattern.AppendKeyText(nil, pattern.Suffix, name), err)
		}
		if e.Apex == last.sub && e.Sub == last.sub {
			continue
		}
		e.Hash = last.hash
		c.out.Entries = append(c.out.Entries, e)
		last.sub = e.Sub
	}
	return nil
}

// descend appends the levels of a name to those that it has in common with the one before.
func descend(way []level, name []byte, key pattern.HashKey) []level {
	var buf [63]byte
	last := way[len(way)-1]
	for last.end < len(name) {
		label, rest := pattern.CutSortKey(name[last.end:], &buf)
		last.end = len(name) - len(rest)
		last.hash = key.Below(last.hash, label)
		way = append(way, last)
	}
	return way
}

func commonLength(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// entry compiles the slots of one name.
func (c *compiler) entry(at slots, inherited Ref) (e Entry, err error) {
	if e.Apex, err = c.chain(inherited, at[pattern.Exact], at[pattern.Suffix]); err != nil {
		return e, err
	}
	e.Sub, err = c.chain(inherited, at[pattern.Subdomains], at[pattern.Suffix])
	return e, err
}

// prefixes compiles the prefixes in the order in which those that cover others come before them.
func (c *compiler) prefixes() error {
	var above []PrefixEntry
	for _, p := range c.set.sortedPrefixes() {
		for len(above) > 0 && !above[len(above)-1].Prefix.Contains(p.Addr()) {
			above = above[:len(above)-1]
		}
		var inherited Ref
		if len(above) > 0 {
			inherited = above[len(above)-1].To
		}
		to, err := c.chain(inherited, c.set.prefixes[p])
		if err != nil {
			return fmt.Errorf("compile rules: %s: %w", p, err)
		}
		if to != inherited {
			above = append(above, PrefixEntry{p, to})
			c.out.Prefixes = append(c.out.Prefixes, PrefixEntry{p, to})
		}
	}
	return nil
}

// number gives the used targets numbers from 1 by their text, so that one set of
// rules always compiles to the same numbers.
func (c *compiler) number() {
	used := c.used()
	type text struct {
		id   int
		text string
	}
	var order []text
	for id := 1; id < len(used); id++ {
		if used[id] {
			order = append(order, text{id, c.set.targets[id-1].String()})
		}
	}
	slices.SortFunc(order, func(a, b text) int {
		return cmp.Or(cmp.Compare(a.text, b.text), cmp.Compare(a.id, b.id))
	})
	numbers := make([]Ref, len(used))
	for i, o := range order {
		numbers[o.id] = Ref(i + 1)
		c.out.Targets = append(c.out.Targets, c.set.targets[o.id-1])
	}
	c.eachRef(func(r *Ref) {
		if *r&ChoiceBit == 0 {
			*r = numbers[*r]
		}
	})
}

// used tells which targets the compiled rules lead to.
func (c *compiler) used() []bool {
	used := make([]bool, len(c.set.targets)+1)
	c.eachRef(func(r *Ref) {
		if *r&ChoiceBit == 0 {
			used[*r] = true
		}
	})
	return used
}

func (c *compiler) eachRef(do func(*Ref)) {
	for i := range c.out.Entries {
		do(&c.out.Entries[i].Apex)
		do(&c.out.Entries[i].Sub)
	}
	for i := range c.out.Prefixes {
		do(&c.out.Prefixes[i].To)
	}
	for i := range c.out.Choices {
		do(&c.out.Choices[i].Then)
		do(&c.out.Choices[i].Otherwise)
	}
	do(&c.out.Default)
}

// collision names the names that share a hash.
func (s *Set) collision(key pattern.HashKey, hash uint64) error {
	var names []string
	for _, e := range s.names.list {
		if n, _ := pattern.FromSortKey(s.names.keys.get(e.key)); e.at != (slots{}) && key.Hash(n) == hash {
			names = append(names, n.String())
		}
	}
	slices.Sort(names)
	return fmt.Errorf("compile rules: %q have the same hash %#x; use another key", names, hash)
}
