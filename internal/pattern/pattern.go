package pattern

import (
	"net/netip"
	"strings"
)

// Kind tells what a pattern matches, seen from its own name or prefix.
type Kind uint8

// The kinds of pattern, with the text that makes them.
const (
	Suffix     Kind = iota // example.com: it and every subdomain
	Subdomains             // *.example.com: every subdomain, not itself
	Exact                  // =example.com: itself only
	Default                // "." or "default": every name, known or not
	Prefix                 // 203.0.113.0/24, 2001:db8::/32, 192.0.2.7: addresses
)

// Pattern is what a rule matches. Patterns are comparable; equal patterns match the
// same in the same way. The Name of a Default is Root, of a Prefix "", of the others
// neither.
type Pattern struct {
	Kind   Kind
	Name   Name
	Prefix netip.Prefix // of the kind Prefix only: masked, never IPv4 in IPv6
}

const defaultWord = "default"

// Parse reads a pattern. Errors are *SyntaxError; where it shows what was meant, the
// reason names what to write.
func Parse(s string) (Pattern, error) {
	if s == "." || len(s) == len(defaultWord) && strings.EqualFold(s, defaultWord) {
		return Pattern{Kind: Default, Name: Root}, nil
	}
	kind, start := Suffix, 0
	switch {
	case strings.HasPrefix(s, "="):
		kind, start = Exact, 1
	case strings.HasPrefix(s, "*."):
		kind, start = Subdomains, 2
	}
	if p, is, err := parseAddress(s, start); is {
		return p, err
	}
	name, err := parseName(s, start)
	switch {
	case err != nil:
		return Pattern{}, cure(err, start)
	case name == Root:
		return Pattern{}, &SyntaxError{s, start, "the root takes no '=' or '*.'; write \"default\""}
	case allDigits(name):
		// Seen after mapping, so that no spelling of an address passes for a name.
		return Pattern{}, &SyntaxError{s, start, digitsReason(name)}
	}
	return Pattern{Kind: kind, Name: name}, nil
}

// digitsReason says why an all-digit name is refused.
func digitsReason(n Name) string {
	if p, is, reason := readPrefix(n.String()); is && reason == "" {
		return "looks like an address; write " + ofPrefix(p).String()
	}
	return "looks like an address, but is none"
}

// allDigits tells names such as 192.0.2.1, and 10.0 or 192.0.2.256, which can only
// be meant for addresses: no top-level domain is a number.
func allDigits(n Name) bool {
	for p, ok := n.Parent(); ok; p, ok = n.Parent() {
		for i := 1; i < len(n)-len(p); i++ {
			if n[i] < '0' || n[i] > '9' {
				return false
			}
		}
		n = p
	}
	return true
}

// String returns the canonical text, which Parse reads back. A Default prints
// "default"; the top-level domain of that name, as a suffix, prints "default.".
func (p Pattern) String() string { return string(p.AppendTo(nil)) }

// AppendTo appends p.String() to b.
func (p Pattern) AppendTo(b []byte) []byte {
	switch p.Kind {
	case Default:
		return append(b, defaultWord...)
	case Prefix:
		return appendPrefix(b, p.Prefix)
	case Exact:
		b = append(b, '=')
	case Subdomains:
		b = append(b, "*."...)
	case Suffix:
		if p.Name == "\x07"+defaultWord+"\x00" {
			return append(b, defaultWord+"."...)
		}
	}
	return p.Name.AppendTo(b)
}

// Matches tells whether n is among the names p stands for; none is for a Prefix.
func (p Pattern) Matches(n Name) bool {
	switch p.Kind {
	case Exact:
		return n == p.Name
	case Suffix:
		return n == p.Name || n.below(p.Name)
	case Subdomains:
		return n.below(p.Name)
	case Default:
		return true
	}
	return false
}

// below tells whether n is a strict subdomain of zone. Equal bytes at the end are
// not enough, they must begin at a label: a length byte can equal a label's byte.
func (n Name) below(zone Name) bool {
	for p, ok := n.Parent(); ok && len(p) >= len(zone); p, ok = p.Parent() {
		if len(p) == len(zone) {
			return p == zone
		}
	}
	return false
}
