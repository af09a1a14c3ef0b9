package dataplane

import (
	"net/netip"
	"testing"
	"time"
)

func TestFill(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	for i := range 5 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		check(t, s.Teach(testName(t, "a.ruled.test"), []netip.Addr{a}, time.Minute))
	}
	all, err := s.Fill()
	check(t, err)
	found := map[string]Fill{}
	for _, f := range all {
		found[f.Map] = f
	}
	if f := found[learnMapHostRuled]; f.Entries != 5 || f.Max < 8192 || !f.LRU {
		t.Errorf("host_ruled: %+v", f)
	}
	if f := found[learnMapNamesRuled]; f.Entries != 1 {
		t.Errorf("names_ruled: %+v", f)
	}
	if f := found[learnMapHits]; f.Entries != 0 || f.Max != 65536 || f.LRU {
		t.Errorf("hits: %+v", f)
	}
	for i := range uint64(3000) { // more than a batch
		check(t, s.maps[learnMapHits].Put(learnHit{Rule: i + 1}, uint64(1)))
	}
	if n, err := entries(s.maps[learnMapHits]); n != 3000 || err != nil {
		t.Errorf("%d hits, %v", n, err)
	}
}
