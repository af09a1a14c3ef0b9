package dataplane

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
)

// setOwn makes the map of the host's own addresses say just these. Beyond what it holds they are left out:
// then connections to them are steered like any other.
func (s *System) setOwn(addrs []netip.Addr) error {
	m := s.maps[learnMapOwn]
	want := map[[16]byte]bool{}
	for _, a := range addrs {
		if len(want) < int(m.MaxEntries()) {
			want[a.As16()] = true
		}
	}
	var gone [][16]byte
	var key [16]byte
	var value uint8
	it := m.Iterate()
	for it.Next(&key, &value) {
		if !want[key] {
			gone = append(gone, key)
		}
		delete(want, key)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("list the own addresses: %w", err)
	}
	for _, k := range gone {
		if err := m.Delete(k); err != nil && !isNotExist(err) {
			return fmt.Errorf("forget an own address: %w", err)
		}
	}
	for k := range want {
		if err := m.Update(k, uint8(1), ebpf.UpdateAny); err != nil {
			return fmt.Errorf("note an own address: %w", err)
		}
	}
	return nil
}
