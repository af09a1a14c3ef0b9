package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/ruleset"
)

func ranges(texts ...string) []ruleset.PrefixEntry {
	var all []ruleset.PrefixEntry
	for i, text := range texts {
		all = append(all, ruleset.PrefixEntry{Prefix: netip.MustParsePrefix(text), To: ruleset.Ref(i + 1)})
	}
	return all
}

// longest is what rules for addresses say, found in the plainest way: a place in them plus one.
func longest(rules []ruleset.PrefixEntry, a netip.Addr) uint32 {
	bits, found := -1, uint32(0)
	for _, r := range rules {
		if r.Prefix.Contains(a.Unmap()) && r.Prefix.Bits() > bits {
			bits, found = r.Prefix.Bits(), uint32(r.To)
		}
	}
	return found
}

// ref is what the kernel's map has for an address, as judge_address in bpf/verdict.h asks it.
func ref(t *testing.T, m *ebpf.Map, a netip.Addr) uint32 {
	t.Helper()
	var found prefixTarget
	if err := m.Lookup(prefix{128, a.As16()}, &found); err != nil && !isNotExist(err) {
		t.Fatal(err)
	}
	return found.Ref
}

func TestPrefixes(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		what  string
		rules []ruleset.PrefixEntry
		addrs []string
	}{
		{"longest", ranges("203.0.113.0/24", "203.0.113.128/25", "203.0.113.200/32", "203.0.0.0/16"),
			[]string{"203.0.113.1", "203.0.113.129", "203.0.113.200", "203.0.1.1", "203.1.0.0", "202.255.255.255"}},
		{"IPv6", ranges("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::5/128"),
			[]string{"2001:db8::1", "2001:db8:1::1", "2001:db8:1::5", "2001:db9::", "2001:db8:2::5", "192.0.2.1"}},
		{"all of IPv6", ranges("::/0"), []string{"2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1", "::fffe:1:1", "fe80::1"}},
		{"all of IPv6 and some of IPv4", ranges("::/0", "192.0.2.0/24"), []string{"2001:db8::1", "192.0.2.1", "192.0.3.1", "::1:0:0"}},
		{"all of both", ranges("::/0", "0.0.0.0/0"), []string{"2001:db8::1", "192.0.2.1"}},
		{"around IPv4", ranges("::fffe:0:0/95"), []string{"::fffe:0:1", "0.0.0.1", "255.255.255.255"}},
		{"beside IPv4", ranges("::fffe:0:0/96", "10.0.0.0/8"), []string{"::fffe:0:1", "10.2.3.4", "11.2.3.4"}},
	} {
		m, err := (&System{}).newPrefixes(withGuard(c.rules))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range c.addrs {
			a := netip.MustParseAddr(text)
			if got, want := ref(t, m, a), longest(c.rules, a); got != want {
				t.Errorf("%s: %s: rule %d, want %d", c.what, a, got, want)
			}
		}
		m.Close()
	}
}

// More than one system call writes, of prefixes of any length.
func TestManyPrefixes(t *testing.T) {
	needRoot(t)
	random := rand.New(rand.NewPCG(1, 2))
	anyAddr := func() netip.Addr {
		if random.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{byte(192 + random.IntN(2)), byte(random.IntN(4)), byte(random.Uint32()), byte(random.Uint32())})
		}
		return netip.AddrFrom16([16]byte{0: 0x20, 1: byte(random.IntN(4)), 5: byte(random.IntN(4)), 10: byte(random.Uint32()), 15: byte(random.Uint32())})
	}
	var rules []ruleset.PrefixEntry
	seen := map[netip.Prefix]bool{}
	for len(rules) < batch+100 {
		a := anyAddr()
		p := netip.PrefixFrom(a, random.IntN(a.BitLen()+1)).Masked()
		if !seen[p] {
			seen[p] = true
			rules = append(rules, ruleset.PrefixEntry{Prefix: p, To: ruleset.Ref(len(rules) + 1)})
		}
	}
	m, err := (&System{}).newPrefixes(withGuard(rules))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 2000 {
		a := anyAddr()
		if got, want := ref(t, m, a), longest(rules, a); got != want {
			t.Fatalf("%s: rule %d, want %d", a, got, want)
		}
	}
}
