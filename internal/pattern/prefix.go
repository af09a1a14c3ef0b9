package pattern

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxAddress bounds what is looked at as an address or prefix, in bytes: no spelling is longer.
const maxAddress = 80

// parseAddress reads s[start:] if it has the form of an address or prefix, or can only be meant for one. Whether it is
// one with all-digit labels of other scripts shows only when it was mapped; see allDigits.
func parseAddress(s string, start int) (p Pattern, is bool, err error) {
	text := s[start:]
	if len(text) > maxAddress {
		return Pattern{}, false, nil
	}
	prefix, is, reason := readPrefix(text)
	switch {
	case !is:
		return Pattern{}, false, nil
	case reason == "" && start > 0:
		reason = fmt.Sprintf("an address takes no '=' or '*.'; write %s", ofPrefix(prefix))
	}
	if reason != "" {
		return Pattern{}, true, &SyntaxError{s, start, reason}
	}
	return ofPrefix(prefix), true, nil
}

func ofPrefix(p netip.Prefix) Pattern { return Pattern{Kind: Prefix, Prefix: p} }

// readPrefix reads an address or prefix, or gives the reason why one is refused that was meant.
func readPrefix(text string) (p netip.Prefix, is bool, reason string) {
	if addr, length, cut := strings.Cut(text, "/"); cut {
		if !meantForAddress(addr) {
			return p, false, ""
		}
		p, reason = prefixOf(addr, length)
		return p, true, reason
	}
	if a, err := netip.ParseAddr(text); err == nil {
		p, reason = prefixOfAddr(a, a.BitLen())
		return p, true, reason
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return p, true, fmt.Sprintf("a rule takes an address without a port; write %s", a.Addr().Unmap())
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[].")); err == nil {
		return p, true, fmt.Sprintf("write it without brackets and dots around: %s", a.Unmap())
	}
	return p, false, ""
}

// meantForAddress tells what before a '/' is no name: an address, or parts of one.
func meantForAddress(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil || s != "" && strings.Trim(s, "0123456789.") == ""
}

func prefixOf(addr, length string) (netip.Prefix, string) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}, fmt.Sprintf("%q is no whole address; a prefix is written as 203.0.113.0/24 or 2001:db8::/32", addr)
	}
	if a.Zone() != "" {
		return prefixOfAddr(a, 0)
	}
	p, err := netip.ParsePrefix(addr + "/" + length)
	if err != nil {
		return p, fmt.Sprintf("the length of a prefix is a number of bits from 0 to %d", a.BitLen())
	}
	return prefixOfAddr(a, p.Bits())
}

// prefixOfAddr makes a prefix that has no bits beyond its length and is not IPv4 in IPv6.
func prefixOfAddr(a netip.Addr, bits int) (netip.Prefix, string) {
	switch {
	case a.Zone() != "":
		return netip.Prefix{}, fmt.Sprintf("a rule takes an address without a zone; write %s", a.WithZone(""))
	case a.Is4In6() && bits < 96:
		return netip.Prefix{}, "a prefix of IPv4 addresses in IPv6 has at least 96 bits; write the IPv4 prefix"
	case a.Is4In6():
		a, bits = a.Unmap(), bits-96
	}
	p := netip.PrefixFrom(a, bits)
	if masked := p.Masked(); masked != p {
		return masked, fmt.Sprintf("the address has bits beyond the prefix's length; write %s", ofPrefix(masked))
	}
	return p, ""
}

// Contains tells whether a is among the addresses p stands for; none is for other kinds than Prefix. An IPv4 address in
// IPv6 is the IPv4 address, and a zone does not matter.
func (p Pattern) Contains(a netip.Addr) bool {
	return p.Kind == Prefix && p.Prefix.Contains(a.Unmap().WithZone(""))
}

// appendPrefix appends the text of a prefix, that of one address without a length.
func appendPrefix(b []byte, p netip.Prefix) []byte {
	if p.IsSingleIP() {
		return p.Addr().AppendTo(b)
	}
	return p.AppendTo(b)
}
