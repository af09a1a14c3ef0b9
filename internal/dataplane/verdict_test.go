package dataplane

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/internal/ruleset"
)

func TestHoldAndPlace(t *testing.T) {
	storage := func(ifindex, mark uint32) []byte {
		b := make([]byte, binary.Size(learnSteered{}))
		binary.NativeEndian.PutUint32(b, ifindex)
		binary.NativeEndian.PutUint32(b[4:], mark)
		return b
	}
	places := []Place{
		{Outcome: Steered, Interface: "wg0", Ifindex: 3}, {Outcome: Marked, Mark: 9}, {Outcome: Untouched}, {Outcome: Blocked}, {Outcome: NoInterface},
	}
	for _, c := range []struct {
		ifindex  int
		mark     uint32
		storage  []byte
		ours     bool
		theirs   bool
		differs  string // from each of the places
		whatever string
	}{
		{0, 0, nil, false, false, "11011", "as it was made"},
		{0, 0, storage(0, 0), false, false, "11011", "it sends unconnected, too"},
		{0, 0, storage(3, 9), false, false, "11011", "its program unbound it"},
		{3, 0, storage(3, 0), true, false, "01111", "ours"},
		{4, 0, storage(4, 0), true, false, "11111", "ours, elsewhere"},
		{3, 0, storage(3, 9), true, false, "01111", "marked by us once"},
		{0, 9, storage(0, 9), true, false, "10111", "marked by us"},
		{0, 8, storage(0, 8), true, false, "11111", "marked otherwise by us"},
		{3, 9, storage(3, 9), true, false, "11111", "both"},
		{3, 0, nil, false, true, "", "its program's"},
		{3, 0, storage(0, 0), false, true, "", "its program's"},
		{3, 0, storage(4, 0), false, true, "", "moved by its program"},
		{0, 9, nil, false, true, "", "marked by its program"},
		{3, 9, storage(3, 0), false, true, "", "bound by us, marked by its program"},
		{3, 9, storage(0, 9), false, true, "", "marked by us, bound by its program"},
		{3, 0, storage(3, 0)[:7], false, true, "", "cut short"},
	} {
		h := HoldOf(c.ifindex, c.mark, c.storage)
		if h.Ours != c.ours || h.Theirs != c.theirs {
			t.Errorf("%s: %+v", c.whatever, h)
		}
		got := ""
		for _, p := range places {
			got += map[bool]string{true: "1", false: "0"}[p.Differs(h)]
		}
		if c.differs != "" && got != c.differs {
			t.Errorf("%s: differs from %s, want %s", c.whatever, got, c.differs)
		}
	}
}

func TestResolve(t *testing.T) {
	find := func(name string) (int, bool) {
		index := map[string]int{"wg0": 3, "eth1": 4}[name]
		return index, index != 0
	}
	for text, want := range map[string]Place{
		"wg0": {Steered, "wg0", 3, 0}, "eth1,wg0": {Steered, "eth1", 4, 0}, "gone0,wg0": {Steered, "wg0", 3, 0},
		"gone0": {Outcome: NoInterface}, "gone0,gone1": {Outcome: NoInterface}, "gone0,direct": {Outcome: Untouched},
		"wg0,direct": {Steered, "wg0", 3, 0}, "direct": {Outcome: Untouched}, "block": {Outcome: Blocked}, "mark:0x10": {Outcome: Marked, Mark: 16},
	} {
		target, err := ruleset.ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := Resolve(target, find); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// The ranges of addr_is_local in bpf/addr.h, at their ends.
func TestAddrIsLocal(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0": true, "0.255.255.255": true, "1.0.0.0": false, "126.255.255.255": false, "127.0.0.0": true, "127.255.255.255": true,
		"128.0.0.0": false, "169.253.255.255": false, "169.254.0.0": true, "169.254.255.255": true, "169.255.0.0": false,
		"223.255.255.255": false, "224.0.0.0": true, "239.255.255.255": true, "240.0.0.0": false, "255.255.255.254": false, "255.255.255.255": true,
		"10.0.0.1": false, "::": true, "::1": true, "::2": false, "::ffff:127.0.0.1": true, "::ffff:128.0.0.1": false,
		"fe7f:ffff::1": false, "fe80::1": true, "febf::1": true, "fec0::1": false, "feff::1": false, "ff00::1": true, "ffff::1": true, "fc00::1": false,
		"2001:db8::1": false,
	} {
		if got := addrIsLocal(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
