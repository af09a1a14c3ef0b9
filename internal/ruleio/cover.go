package ruleio

import (
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// cover tells which patterns lie within some patterns: all they match, one of those matches, too.
type cover struct {
	names    map[pattern.Pattern]int // number of each
	prefixes []prefixNumber
	used     []bool // whether each was the answer once
}

type prefixNumber struct {
	p      netip.Prefix
	number int
}

func newCover(items []patternItem) cover {
	c := cover{names: make(map[pattern.Pattern]int), used: make([]bool, len(items))}
	for i, item := range items {
		if item.p.Kind == pattern.Prefix {
			c.prefixes = append(c.prefixes, prefixNumber{item.p.Prefix, i})
		} else {
			c.names[item.p] = i
		}
	}
	return c
}

// covers tells whether p lies within one of the patterns.
func (c *cover) covers(p pattern.Pattern) bool {
	if len(c.used) == 0 {
		return false
	}
	if p.Kind == pattern.Prefix {
		for _, other := range c.prefixes {
			if other.p.Bits() <= p.Prefix.Bits() && other.p.Contains(p.Prefix.Addr()) {
				c.used[other.number] = true
				return true
			}
		}
		return false
	}
	if c.has(p) || p.Kind != pattern.Suffix && c.has(pattern.Pattern{Kind: pattern.Suffix, Name: p.Name}) {
		return true
	}
	for n, ok := p.Name.Parent(); ok; n, ok = n.Parent() {
		if c.has(pattern.Pattern{Kind: pattern.Suffix, Name: n}) || c.has(pattern.Pattern{Kind: pattern.Subdomains, Name: n}) {
			return true
		}
	}
	return false
}

func (c *cover) has(p pattern.Pattern) bool {
	i, ok := c.names[p]
	if ok {
		c.used[i] = true
	}
	return ok
}
