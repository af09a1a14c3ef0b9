package ruleset

import "net/netip"

// Prefixes returns the prefixes that have rules, each before those it covers.
func (s *Set) Prefixes() []netip.Prefix { return s.sortedPrefixes() }
