package dataplane

import "testing"

// A lease is renewed by its owner, while it lasts; whoever ends it and whoever renews it cannot both.
func TestLeaseIsItsOwners(t *testing.T) {
	now := bootTime()
	second := uint64(renewal)
	for _, c := range []struct {
		what  string
		place learnWatcher
		want  bool
	}{
		{"its own", learnWatcher{Owner: 7, Lease: now + 60*second}, true},
		{"over", learnWatcher{Owner: 7, Lease: now - 1}, false},
		{"ended by another", learnWatcher{Owner: 7}, false},
		{"another's by now", learnWatcher{Owner: 9, Lease: now + 60*second}, false},
	} {
		place := c.place
		if got := place.prolong(7); got != c.want {
			t.Errorf("%s: prolonged %v", c.what, got)
		}
		if !c.want && place.Lease != c.place.Lease {
			t.Errorf("%s: the lease was touched", c.what)
		}
	}
}

// A lease that was prolonged after it was found to be over does not end.
func TestLeaseEndsOnce(t *testing.T) {
	s := choreSystem(t)
	_, slot := testWatcher(t, s, 4096, false)
	page, err := s.mapWatchers()
	check(t, err)
	defer page.free()
	found := page.at(slot).Lease
	page.at(slot).Lease += 1000
	check(t, s.endLease(slot, found))
	if have, err := s.hasBuffer(slot); !have || err != nil {
		t.Errorf("it has a buffer: %v, %v", have, err)
	}
	check(t, s.endLease(slot, page.at(slot).Lease))
	if have, err := s.hasBuffer(slot); have || err != nil || page.at(slot).Lease != 0 {
		t.Errorf("it has a buffer: %v, %v, and a lease until %d", have, err, page.at(slot).Lease)
	}
}
