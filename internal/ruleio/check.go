package ruleio

import (
	"fmt"
	"net/netip"

	"golang.org/x/net/publicsuffix"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// lone notes what can be said of a rule without the others.
func (l *loader) lone(p pattern.Pattern, at func() Place) {
	l.publicSuffix(p, at)
	l.leftAlone(p, at)
}

// publicSuffix notes a rule for everybody's names below a suffix of ICANN's. One for a company's, as github.io, is common
// and meant.
func (l *loader) publicSuffix(p pattern.Pattern, at func() Place) {
	if p.Kind != pattern.Suffix && p.Kind != pattern.Subdomains {
		return
	}
	name := p.Name.String()
	if suffix, icann := publicsuffix.PublicSuffix(name); suffix != name || !icann {
		return
	}
	l.notes.add(PublicSuffix, at(), Place{}, func() string {
		return fmt.Sprintf("%s is a public suffix: the rule is for everybody's names below it", p)
	})
}

// outranked notes the rules of lists, all read by now, that come first at the very name of a rule of the files, being
// for less than it is.
func (l *loader) outranked(k key, target ruleset.Target, here Place) {
	if k.p.Kind != pattern.Suffix {
		return
	}
	conditions := []ruleset.Condition{k.c, {}}
	if k.c == conditions[1] {
		conditions = conditions[1:]
	}
	for _, kind := range []pattern.Kind{pattern.Exact, pattern.Subdomains} {
		for _, c := range conditions {
			other := key{pattern.Pattern{Kind: kind, Name: k.p.Name}, c}
			to, ok := l.out.Rules.Get(other.p, other.c)
			if _, said := l.inline[other]; said || !ok || to == target {
				continue
			}
			i := l.notes.add(Outranked, here, Place{}, func() string {
				return fmt.Sprintf("%s goes to %s here, but %s goes to %s by a list, and comes first", k, target, other, to)
			})
			l.seek(i, other, to, len(l.lists))
		}
	}
}

// check looks at each rule among the others, if that is asked for.
func (l *loader) check() error {
	if !l.o.Thorough {
		return nil
	}
	for s := range l.out.Rules.Shadowed() {
		rule, by := keyOf(s.Rule), keyOf(s.By)
		if s.Kind == ruleset.Unreachable {
			rest := "the other half"
			if p := rule.p; p.Kind != pattern.Prefix {
				rest = pattern.Pattern{Kind: pattern.Subdomains, Name: p.Name}.String()
			}
			l.note(Unreachable, s, func() string { return fmt.Sprintf("%s decides nothing: %s and %s come first", rule, by, rest) })
		} else {
			l.note(Redundant, s, func() string { return fmt.Sprintf("%s goes to %s by %s anyway", rule, s.Rule.Target, by) })
		}
	}
	return nil
}

func keyOf(r ruleset.Rule) key { return key{r.Pattern, r.Condition} }

// note adds a finding about a rule and another, wherever they stand.
func (l *loader) note(kind Kind, s ruleset.Shadow, text func() string) {
	i := l.notes.add(kind, Place{}, Place{}, text)
	if i < 0 {
		return
	}
	found := &l.notes.list[i]
	for _, one := range []struct {
		rule  ruleset.Rule
		place *Place
	}{{s.Rule, &found.At}, {s.By, &found.Other}} {
		if from, ok := l.inline[keyOf(one.rule)]; ok {
			*one.place = l.parts[from.part].place(from.at)
		} else {
			l.sought = append(l.sought, sought{i, one.place == &found.At, keyOf(one.rule), one.rule.Target, len(l.lists)})
		}
	}
}

// leftAlone notes a rule for addresses to which none applies.
func (l *loader) leftAlone(p pattern.Pattern, at func() Place) {
	if p.Kind != pattern.Prefix {
		return
	}
	for _, whole := range neverSteered {
		if whole.Bits() <= p.Prefix.Bits() && whole.Contains(p.Prefix.Addr()) {
			l.notes.add(Unreachable, at(), Place{}, func() string {
				return fmt.Sprintf("%s decides nothing: loopback, link-local, multicast, broadcast and unspecified addresses are left alone", p)
			})
		}
	}
}

// neverSteered is addr_is_local of bpf/addr.h.
var neverSteered = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::/127"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8"),
}
