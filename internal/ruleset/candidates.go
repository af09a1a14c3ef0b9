package ruleset

import (
	"net/netip"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Candidate is a rule whose pattern is for what was asked, whether its condition holds or not.
type Candidate struct {
	Rule
	Unmet Unmet // why its condition does not hold; 0: it does, or there is none
}

// Holds tells whether the rule counts for whom was asked.
func (c Candidate) Holds() bool { return c.Unmet == 0 }

// Unmet says which parts of a condition do not hold, or-ed.
type Unmet uint8

// The parts of a condition.
const (
	UnmetUser   Unmet = 1 << iota // another user
	UnmetCgroup                   // not in that cgroup, or it is not known in which
)

// unmet is Holds, with the reason.
func (c Condition) unmet(w Who) (u Unmet) {
	if c.User && c.UID != w.UID {
		u |= UnmetUser
	}
	if c.Cgroup != "" && !within(w.Cgroup, c.Cgroup) {
		u |= UnmetCgroup
	}
	return u
}

// Candidates returns the name rules that are for n, in order of precedence: the first that holds for w is that of MatchName.
func (s *Set) Candidates(n pattern.Name, w Who) (all []Candidate) {
	for name, at := range s.upwards(n) {
		kinds := [...]pattern.Kind{pattern.Subdomains, pattern.Suffix}
		if len(name) == len(n) {
			kinds[0] = pattern.Exact
		}
		for _, k := range kinds {
			all = s.candidates(all, pattern.Pattern{Kind: k, Name: name}, at[k], w)
		}
	}
	return all
}

// CandidatesAddr is Candidates for an address, as MatchAddr decides.
func (s *Set) CandidatesAddr(a netip.Addr, w Who) (all []Candidate) {
	a = a.Unmap().WithZone("")
	if len(s.prefixes) == 0 {
		return nil
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		if p, err := a.Prefix(bits); err == nil {
			all = s.candidates(all, pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, s.prefixes[p], w)
		}
	}
	return all
}

// HasPrefixes tells whether there are rules for addresses.
func (s *Set) HasPrefixes() bool { return len(s.prefixes) > 0 }

// CandidatesDefault is Candidates for what no other rule is for, as Default decides.
func (s *Set) CandidatesDefault(w Who) []Candidate {
	return s.candidates(nil, pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, s.def, w)
}

func (s *Set) candidates(to []Candidate, p pattern.Pattern, sl slot, w Who) []Candidate {
	for c, id := range s.each(sl) {
		to = append(to, Candidate{Rule{p, c, s.target(id)}, c.unmet(w)})
	}
	return to
}

// Reason is why one of two rules comes before the other.
type Reason string

// The reasons, in words for people.
const (
	ExactFirst      Reason = "exactly this name comes before a suffix"
	LongerSuffix    Reason = "the longer suffix comes first"
	SubdomainsFirst Reason = `"*.NAME" comes before NAME for what is below it`
	LongerPrefix    Reason = "the longer prefix comes first"
	NameFirst       Reason = "names come before addresses"
	BeforeDefault   Reason = "the default comes last"
	ConditionFirst  Reason = "a condition comes before none"
	BothFirst       Reason = "two conditions come before one"
	CgroupFirst     Reason = "cgroup= comes before user="
	DeeperFirst     Reason = "the deeper cgroup comes first"
	NoOrder         Reason = ""
)

// Precedence tells why first comes before second where both are for the same name or address; NoOrder where it does not,
// or where no task meets both.
func Precedence(first, second Rule) Reason {
	a, b := first.Pattern, second.Pattern
	if a == b {
		return first.Condition.precedence(second.Condition)
	}
	switch {
	case a.Kind == pattern.Default:
		return NoOrder
	case b.Kind == pattern.Default:
		return BeforeDefault
	case a.Kind == pattern.Prefix && b.Kind == pattern.Prefix:
		return ordered(a.Prefix.Bits() > b.Prefix.Bits(), LongerPrefix)
	case b.Kind == pattern.Prefix:
		return NameFirst
	case a.Kind == pattern.Prefix:
		return NoOrder
	case a.Kind == pattern.Exact:
		return ordered(b.Kind != pattern.Exact, ExactFirst)
	case a.Name == b.Name:
		return ordered(a.Kind == pattern.Subdomains && b.Kind == pattern.Suffix, SubdomainsFirst)
	}
	return ordered(len(a.Name) > len(b.Name) && b.Kind != pattern.Exact, LongerSuffix)
}

func ordered(is bool, r Reason) Reason {
	if is {
		return r
	}
	return NoOrder
}

// precedence is Precedence for the conditions of one pattern.
func (c Condition) precedence(other Condition) Reason {
	switch {
	case c.compare(other) >= 0:
		return NoOrder
	case c.rank() == other.rank():
		return ordered(strings.Count(c.Cgroup, "/") > strings.Count(other.Cgroup, "/"), DeeperFirst)
	case other == Condition{}:
		return ConditionFirst
	case c.rank() == 0:
		return BothFirst
	}
	return CgroupFirst
}
