package ruleio

import (
	"fmt"
	"net/netip"

	"golang.org/x/net/publicsuffix"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// publicSuffix notes a rule for everybody's names below a public suffix. Top-level domains that are not listed are
// somebody's own.
func (l *loader) publicSuffix(p pattern.Pattern, at func() Place) {
	if p.Kind != pattern.Suffix && p.Kind != pattern.Subdomains {
		return
	}
	name := p.Name.String()
	suffix, listed := publicsuffix.PublicSuffix(name)
	if len(suffix) != len(name) {
		return
	}
	if up, _ := p.Name.Parent(); up == pattern.Root && !listed {
		return
	}
	l.notes.add(PublicSuffix, at(), Place{}, func() string {
		return fmt.Sprintf("%s is a public suffix: the rule is for everybody's names below it", p)
	})
}

// check looks at each rule among the others, if that is asked for.
func (l *loader) check() error {
	if !l.o.Thorough {
		return nil
	}
	c := checker{l.out.Rules, l.conditions()}
	for r := range l.out.Rules.All() {
		if text, other := c.unreachable(r); text != "" {
			l.note(Unreachable, r, text, other)
		} else if other, ok := c.redundant(r); ok {
			l.note(Redundant, r, fmt.Sprintf("%s goes to %s by %s anyway", key{r.Pattern, r.Condition}, r.Target, key{other.Pattern, other.Condition}), other)
		}
	}
	return nil
}

// conditions returns all conditions of the rules.
func (l *loader) conditions() []ruleset.Condition {
	seen := map[ruleset.Condition]bool{{}: true}
	out := []ruleset.Condition{{}}
	add := func(c ruleset.Condition) {
		if !seen[c] {
			seen[c], out = true, append(out, c)
		}
	}
	for k := range l.inline {
		add(k.c)
	}
	for _, one := range l.lists {
		add(one.cond)
	}
	return out
}

// note adds a finding about one rule and another, wherever they stand.
func (l *loader) note(kind Kind, r ruleset.Rule, text string, other ruleset.Rule) {
	i := l.notes.add(kind, Place{}, Place{}, func() string { return text })
	if i < 0 {
		return
	}
	for _, one := range []struct {
		rule  ruleset.Rule
		place *Place
	}{{r, &l.notes.list[i].At}, {other, &l.notes.list[i].Other}} {
		k := key{one.rule.Pattern, one.rule.Condition}
		if from, ok := l.inline[k]; ok {
			*one.place = l.parts[from.part].place(from.at)
			continue
		}
		l.sought = append(l.sought, sought{i, one.place == &l.notes.list[i].At, k, one.rule.Target, len(l.lists)})
	}
}

// checker compares rules with each other.
type checker struct {
	rules *ruleset.Set
	conds []ruleset.Condition // all there are
}

// mostConditions is how many conditions a set may have for redundant rules to be looked for: each is asked about at
// each step.
const mostConditions = 8

// unreachable tells why r can never decide, and the rule to blame, if there is one; "" if r can.
func (c *checker) unreachable(r ruleset.Rule) (text string, by ruleset.Rule) {
	var parts [2]pattern.Pattern
	switch p := r.Pattern; {
	case p.Kind == pattern.Suffix:
		parts = [2]pattern.Pattern{{Kind: pattern.Exact, Name: p.Name}, {Kind: pattern.Subdomains, Name: p.Name}}
	case p.Kind == pattern.Prefix && leftAlone(p.Prefix):
		return fmt.Sprintf("%s is never steered: loopback, link-local and multicast addresses are left alone", p), by
	case p.Kind == pattern.Prefix && !p.Prefix.IsSingleIP():
		parts = halves(p.Prefix)
	default:
		return "", by
	}
	for _, part := range parts {
		at := c.decides(part, r.Condition, false)
		if at == nil {
			return "", by
		}
		by = *at
	}
	return fmt.Sprintf("%s decides nothing: %s and %s come first", key{r.Pattern, r.Condition}, parts[0], parts[1]), by
}

// leftAlone tells prefixes of addresses to which no rule applies.
func leftAlone(p netip.Prefix) bool {
	for _, whole := range neverSteered {
		if whole.Bits() <= p.Bits() && whole.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

var neverSteered = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8"),
}

// halves splits a prefix.
func halves(p netip.Prefix) (out [2]pattern.Pattern) {
	bits := p.Bits()
	b := p.Addr().AsSlice()
	for i := range out {
		if i == 1 {
			b[bits/8] |= 0x80 >> (bits % 8)
		}
		a, _ := netip.AddrFromSlice(b)
		out[i] = pattern.Pattern{Kind: pattern.Prefix, Prefix: netip.PrefixFrom(a, bits+1)}
	}
	return out
}

// redundant tells which rule gives the same where r decides now.
func (c *checker) redundant(r ruleset.Rule) (by ruleset.Rule, ok bool) {
	if len(c.conds) > mostConditions {
		return by, false
	}
	at, known := c.next(r)
	if !known || at == nil || at.Target != r.Target {
		return by, false
	}
	return *at, true
}

// next returns the rule that would decide without r; known is false if that depends on who connects.
func (c *checker) next(r ruleset.Rule) (at *ruleset.Rule, known bool) {
	known = true
	ask := func(p pattern.Pattern) (done bool) {
		if known = !c.depends(p, r); known {
			at = c.decides(p, r.Condition, p == r.Pattern)
		}
		return !known || at != nil
	}
	p := r.Pattern
	if ask(p) {
		return at, known
	}
	switch p.Kind {
	case pattern.Prefix:
		for bits := p.Prefix.Bits() - 1; bits >= 0; bits-- {
			wider, _ := p.Prefix.Addr().Prefix(bits)
			if ask(pattern.Pattern{Kind: pattern.Prefix, Prefix: wider}) {
				return at, known
			}
		}
	case pattern.Exact, pattern.Subdomains, pattern.Suffix:
		if p.Kind != pattern.Suffix && ask(pattern.Pattern{Kind: pattern.Suffix, Name: p.Name}) {
			return at, known
		}
		for n, ok := p.Name.Parent(); ok && n != pattern.Root; n, ok = n.Parent() {
			if ask(pattern.Pattern{Kind: pattern.Subdomains, Name: n}) || ask(pattern.Pattern{Kind: pattern.Suffix, Name: n}) {
				return at, known
			}
		}
	}
	return nil, known
}

// depends tells whether p has rules with a condition that may hold or not where that of r does.
func (c *checker) depends(p pattern.Pattern, r ruleset.Rule) bool {
	for _, cond := range c.conds {
		if cond == r.Condition || cond == (ruleset.Condition{}) {
			continue
		}
		if _, ok := c.rules.Get(p, cond); ok {
			return true
		}
	}
	return false
}

// decides returns the rule for p that surely applies where cond holds: with the same condition, unless other, or
// without one.
func (c *checker) decides(p pattern.Pattern, cond ruleset.Condition, other bool) *ruleset.Rule {
	if !other {
		if t, ok := c.rules.Get(p, cond); ok {
			return &ruleset.Rule{Pattern: p, Condition: cond, Target: t}
		}
	}
	if cond == (ruleset.Condition{}) {
		return nil
	}
	if t, ok := c.rules.Get(p, ruleset.Condition{}); ok {
		return &ruleset.Rule{Pattern: p, Target: t}
	}
	return nil
}
