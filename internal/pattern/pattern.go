package pattern

import (
	"net/netip"
	"strings"
)

// Kind tells which names a pattern matches, seen from its own.
type Kind uint8

// The kinds of pattern, with the text that makes them.
const (
	Suffix     Kind = iota // example.com: it and every subdomain
	Subdomains             // *.example.com: every subdomain, not itself
	Exact                  // =example.com: itself only
	Default                // "." or "default": every name, known or not
)

// Pattern is what a rule matches. Patterns are comparable; equal patterns match the
// same names in the same way. The Name of a Default is Root, of the others never.
type Pattern struct {
	Kind Kind
	Name Name
}

const defaultWord = "default"

// Parse reads a pattern. Patterns for addresses and prefixes are refused as not
// supported yet. Errors are *SyntaxError.
func Parse(s string) (Pattern, error) {
	if s == "." || len(s) == len(defaultWord) && strings.EqualFold(s, defaultWord) {
		return Pattern{Default, Root}, nil
	}
	kind, start := Suffix, 0
	switch {
	case strings.HasPrefix(s, "="):
		kind, start = Exact, 1
	case strings.HasPrefix(s, "*."):
		kind, start = Subdomains, 2
	}
	if reason := addressReason(s[start:]); reason != "" {
		return Pattern{}, &SyntaxError{s, start, reason}
	}
	name, err := parseName(s, start)
	switch {
	case err != nil:
		return Pattern{}, err
	case name == Root:
		return Pattern{}, &SyntaxError{s, start, "the root takes no '=' or '*.'; write \"default\""}
	case allDigits(name):
		// Seen after mapping, so that no spelling of an address passes for a name.
		return Pattern{}, &SyntaxError{s, start, noAddress}
	}
	return Pattern{kind, name}, nil
}

const (
	noAddress = "looks like an address; address patterns are not supported yet"
	noPrefix  = "looks like an address prefix; prefix patterns are not supported yet"
)

// addressReason says why s is refused when it has the form of an address or prefix
// that no name has. All-digit names are told later, by allDigits.
func addressReason(s string) string {
	if !strings.ContainsAny(s, ":/") || len(s) > maxText {
		return ""
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return noPrefix
	}
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return noAddress
	}
	return ""
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

// Matches tells whether n is among the names p stands for.
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
