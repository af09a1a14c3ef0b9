package ruleset

import (
	"iter"
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// ShadowKind is why a rule does nothing.
type ShadowKind uint8

// The kinds of shadow.
const (
	Unreachable ShadowKind = iota + 1 // more specific rules decide whatever it is for: it never does
	Redundant                         // it decides, but without it others would decide the same
)

// String returns "unreachable" or "redundant".
func (k ShadowKind) String() string {
	switch k {
	case Unreachable:
		return "unreachable"
	case Redundant:
		return "redundant"
	}
	return "none"
}

// Shadow is a rule without which nothing would change.
type Shadow struct {
	Kind ShadowKind
	Rule Rule
	By   Rule // one of those that decide in its place: a more specific one of an Unreachable, a less specific one of a Redundant
}

// Shadowed yields the rules that do nothing, each for itself: of two that make each other redundant both are named,
// though one must stay. They come in the order of Rules. It costs about what Compile does, and as little for rules that
// it does not yield. It is not complete where conditions of several patterns play together: what it yields is true. The
// set must not be changed meanwhile.
func (s *Set) Shadowed() iter.Seq[Shadow] {
	return func(yield func(Shadow) bool) {
		w := shadower{set: s, yield: yield}
		_ = w.names() && w.prefixes()
	}
}

// origin is a pattern, without a string made for it: the kind and the key of one for names, or a prefix.
type origin struct {
	kind   pattern.Kind
	key    []byte
	prefix netip.Prefix
	slot   slot
}

// shadower walks over the patterns with those above them that have rules for what is below.
type shadower struct {
	set   *Set
	yield func(Shadow) bool
}

func (w *shadower) rule(o origin, c Condition, id targetID) Rule {
	p := pattern.Pattern{Kind: o.kind, Prefix: o.prefix}
	if o.kind != pattern.Prefix {
		p.Name, _ = pattern.FromSortKey(o.key)
	}
	return Rule{p, c, w.set.target(id)}
}

// names looks at all rules for names. above holds the patterns that are for names below the present one, from the top.
func (w *shadower) names() (more bool) {
	w.set.names.tidy()
	var above []origin
	for _, e := range w.set.names.list {
		if e.at == (slots{}) {
			continue
		}
		key := w.set.names.keys.get(e.key)
		for len(above) > 0 && !hasPrefix(key, above[len(above)-1].key) {
			above = above[:len(above)-1]
		}
		exact, suffix, subs := origin{kind: pattern.Exact, key: key, slot: e.at[pattern.Exact]},
			origin{kind: pattern.Suffix, key: key, slot: e.at[pattern.Suffix]},
			origin{kind: pattern.Subdomains, key: key, slot: e.at[pattern.Subdomains]}
		own := len(above)
		above = appendRuled(above, suffix)
		if !w.pattern(exact, nil, above) ||
			!w.pattern(suffix, []origin{exact, subs}, above[:own]) ||
			!w.pattern(subs, nil, above) {
			return false
		}
		above = appendRuled(above, subs)
	}
	return true
}

// appendRuled appends o if it has rules.
func appendRuled(to []origin, o origin) []origin {
	if o.slot != 0 {
		to = append(to, o)
	}
	return to
}

func hasPrefix(key, prefix []byte) bool {
	return len(prefix) <= len(key) && string(key[:len(prefix)]) == string(prefix)
}

// prefixes looks at all rules for addresses.
func (w *shadower) prefixes() (more bool) {
	var above []origin
	for _, p := range w.set.sortedPrefixes() {
		for len(above) > 0 && !above[len(above)-1].prefix.Contains(p.Addr()) {
			above = above[:len(above)-1]
		}
		o := origin{kind: pattern.Prefix, prefix: p, slot: w.set.prefixes[p]}
		var halves []origin
		for _, half := range halvesOf(p) {
			halves = append(halves, origin{kind: pattern.Prefix, prefix: half, slot: w.set.prefixes[half]})
		}
		if !w.pattern(o, halves, above) {
			return false
		}
		above = append(above, o)
	}
	return true
}

// halvesOf returns the two prefixes that together are p; none of one address.
func halvesOf(p netip.Prefix) []netip.Prefix {
	if p.IsSingleIP() {
		return nil
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	high := p.Addr().AsSlice()
	high[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	addr, _ := netip.AddrFromSlice(high)
	return []netip.Prefix{low, netip.PrefixFrom(addr, p.Bits()+1)}
}

// pattern looks at the rules of one pattern: parts are more specific ones that together are for all that it is for,
// above the less specific ones, the most specific last.
func (w *shadower) pattern(o origin, parts, above []origin) (more bool) {
	if o.slot == 0 || len(above) == 0 && len(parts) == 0 {
		return true
	}
	for c, id := range w.set.each(o.slot) {
		if by, ok := w.covered(c, parts); ok {
			if !w.yield(Shadow{Unreachable, w.rule(o, c, id), by}) {
				return false
			}
			continue
		}
		if by, ok := w.redundant(o, c, id, above); ok && !w.yield(Shadow{Redundant, w.rule(o, c, id), by}) {
			return false
		}
	}
	return true
}

// covered tells whether each of parts has a rule that holds wherever c does, and names the first's.
func (w *shadower) covered(c Condition, parts []origin) (by Rule, ok bool) {
	for _, part := range parts {
		if _, id := w.holding(c, part.slot); id == 0 {
			return Rule{}, false
		}
	}
	if len(parts) == 0 {
		return Rule{}, false
	}
	cond, id := w.holding(c, parts[0].slot)
	return w.rule(parts[0], cond, id), true
}

// holding returns the first rule of a slot that holds wherever c does.
func (w *shadower) holding(c Condition, sl slot) (Condition, targetID) {
	for cond, id := range w.set.each(sl) {
		if c.implies(cond) {
			return cond, id
		}
	}
	return Condition{}, 0
}

// redundant tells whether what comes after a rule, where its condition holds, leads to its target anyway: all rules
// up to the first that holds wherever it does. Those of its own pattern come first.
func (w *shadower) redundant(o origin, c Condition, id targetID, above []origin) (by Rule, ok bool) {
	after := false
	for i := len(above); i >= 0; i-- {
		from := o
		if i < len(above) {
			from = above[i]
		}
		for cond, other := range w.set.each(from.slot) {
			if i == len(above) && !after {
				after = cond == c
				continue
			}
			if exclude(c, cond) {
				continue
			}
			if w.set.target(other) != w.set.target(id) {
				return Rule{}, false
			}
			if c.implies(cond) {
				return w.rule(from, cond, other), true
			}
		}
	}
	return Rule{}, false
}

// exclude tells whether two conditions never hold both.
func exclude(a, b Condition) bool {
	return a.User && b.User && a.UID != b.UID ||
		a.Cgroup != "" && b.Cgroup != "" && !within(a.Cgroup, b.Cgroup) && !within(b.Cgroup, a.Cgroup)
}
