package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// batch is how many elements one system call writes or reads.
const batch = 4096

// suffixTargets is suffix_targets in bpf/abi.h.
type suffixTargets struct{ Apex, Sub uint32 }

// prefix is prefix in bpf/abi.h.
type prefix struct {
	Bits uint32
	Addr [16]byte
}

// prefixTarget is prefix_target in bpf/abi.h.
type prefixTarget struct {
	Ref, _ uint32
	Rule   uint64
}

// newPatterns makes the map of a rule set's patterns.
func (s *System) newPatterns(entries []ruleset.Entry) (*ebpf.Map, error) {
	return fill(&ebpf.MapSpec{Name: "patterns", Type: ebpf.Hash, KeySize: 8, ValueSize: 8}, len(entries),
		func(i int) (uint64, suffixTargets) {
			e := &entries[i]
			return e.Hash, suffixTargets{Apex: uint32(e.Apex), Sub: uint32(e.Sub)}
		})
}

// newPrefixes makes the map of a rule set's rules for addresses.
func (s *System) newPrefixes(prefixes []ruleset.PrefixEntry) (*ebpf.Map, error) {
	return fill(&ebpf.MapSpec{Name: "prefixes", Type: ebpf.LPMTrie, KeySize: 20, ValueSize: 16, Flags: unix.BPF_F_NO_PREALLOC}, len(prefixes),
		func(i int) (prefix, prefixTarget) {
			p := prefixes[i].Prefix
			bits := p.Bits()
			if p.Addr().Is4() {
				bits += 96
			}
			return prefix{uint32(bits), p.Addr().As16()}, prefixTarget{Ref: uint32(prefixes[i].To), Rule: s.prefixID(p)}
		})
}

// newChoices makes the map of a rule set's conditions.
func newChoices(choices []choice) (*ebpf.Map, error) {
	return fill(&ebpf.MapSpec{Name: "conditions", Type: ebpf.Array, KeySize: 4, ValueSize: 32, Flags: unix.BPF_F_INNER_MAP}, len(choices),
		func(i int) (uint32, choice) { return uint32(i), choices[i] })
}

// fill makes a map of exactly n elements, many in a system call.
func fill[K, V any](spec *ebpf.MapSpec, n int, element func(i int) (K, V)) (*ebpf.Map, error) {
	spec.MaxEntries = uint32(max(1, n))
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return nil, fmt.Errorf("make a map for %d %s: %w", n, spec.Name, err)
	}
	keys, values := make([]K, 0, min(n, batch)), make([]V, 0, min(n, batch))
	for i := range n {
		k, v := element(i)
		keys, values = append(keys, k), append(values, v)
		if len(keys) < batch && i < n-1 {
			continue
		}
		if err := update(m, keys, values); err != nil {
			m.Close()
			return nil, fmt.Errorf("write %d %s: %w", n, spec.Name, err)
		}
		keys, values = keys[:0], values[:0]
	}
	return m, nil
}

// outOfMemory is how often memory is waited for, a millisecond each time: from 6.14 on a trie takes its nodes from a small
// stock that is refilled beside, and says ENOMEM meanwhile.
const outOfMemory = 1000

// update writes elements, going on where the kernel was out of memory for a moment.
func update[K, V any](m *ebpf.Map, keys []K, values []V) error {
	for tries := 0; ; tries++ {
		done, err := m.BatchUpdate(keys, values, nil)
		if err == nil || !errors.Is(err, unix.ENOMEM) || tries == outOfMemory {
			return err
		}
		if done < len(keys) { // else the kernel had no memory to begin with, and left the number as it was asked
			keys, values = keys[done:], values[done:]
		}
		time.Sleep(time.Millisecond)
	}
}

// mapped is where IPv4 addresses are among those of IPv6.
var mapped = netip.MustParsePrefix("::ffff:0:0/96")

// withGuard keeps IPv4 addresses, which the map has as ::ffff:a.b.c.d, from rules for ranges of IPv6 around those.
func withGuard(prefixes []ruleset.PrefixEntry) []ruleset.PrefixEntry {
	around := false
	for _, p := range prefixes {
		if p.Prefix.Addr().Is4() && p.Prefix.Bits() == 0 {
			return prefixes
		}
		around = around || p.Prefix.Addr().Is6() && p.Prefix.Bits() < mapped.Bits() && p.Prefix.Overlaps(mapped)
	}
	if !around {
		return prefixes
	}
	return append(prefixes, ruleset.PrefixEntry{Prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 0)})
}
