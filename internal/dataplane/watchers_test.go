package dataplane

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// testWatcher enters a watcher with a buffer of so many bytes.
func testWatcher(t *testing.T, s *System, size uint32, all bool) (*ringbuf.Reader, uint32) {
	t.Helper()
	buffer, err := ebpf.NewMap(&ebpf.MapSpec{Name: "events", Type: ebpf.RingBuf, MaxEntries: size})
	check(t, err)
	defer buffer.Close()
	reader, err := ringbuf.NewReader(buffer)
	check(t, err)
	t.Cleanup(func() { reader.Close() })
	slot, _, err := s.addWatcher(buffer)
	check(t, err)
	s.shared().Watching |= watcherBits(slot, all)
	return reader, slot
}

// told counts the events in a buffer.
func told(t *testing.T, r *ringbuf.Reader) (n int) {
	t.Helper()
	r.SetDeadline(time.Unix(1, 0))
	for {
		if _, err := r.Read(); err != nil {
			return n
		}
		n++
	}
}

func teachSome(t *testing.T, s *System, name string, n int) {
	t.Helper()
	for i := range n {
		check(t, s.Teach(testName(t, name), []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})}, time.Minute))
	}
}

// Each watcher is told what it wants, and what is lost to one is not lost to another.
func TestWatchers(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	teachSome(t, s, "a.ruled.test", 1) // nobody watches
	one, _ := testWatcher(t, s, 1<<16, false)
	every, _ := testWatcher(t, s, 1<<16, true)
	small, slot := testWatcher(t, s, 4096, false) // room for 39 events
	teachSome(t, s, "a.ruled.test", 60)
	teachSome(t, s, "a.plain.test", 10)
	if n := told(t, one); n != 60 {
		t.Errorf("told of %d names, want 60 with a rule", n)
	}
	if n := told(t, every); n != 70 {
		t.Errorf("told of %d names, want 70", n)
	}
	_, w, err := s.watcher(slot)
	check(t, err)
	if n := told(t, small); n == 0 || w.Lost == 0 || n+int(w.Lost) != 60 {
		t.Errorf("told of %d and lost %d, together not 60", n, w.Lost)
	}
	if n := counter(t, s, "event_lost"); n != w.Lost {
		t.Errorf("counted %d as lost, want %d", n, w.Lost)
	}
}

func counter(t *testing.T, s *System, name string) uint64 {
	t.Helper()
	all, err := s.counters()
	check(t, err)
	for _, c := range all {
		if c.Name == name {
			return c.Value
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}

// A watcher that was killed is told until its lease is over. Then the word that programs look at is clear again, by the first
// of them, and the next command takes the buffer away.
func TestLeaseRunsOut(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	killed, slot := testWatcher(t, s, 1<<16, true)
	alive, _ := testWatcher(t, s, 1<<16, false)
	page, err := s.mapWatchers()
	check(t, err)
	teachSome(t, s, "a.ruled.test", 1)
	page.at(slot).Lease = bootTime() - 1
	teachSome(t, s, "a.ruled.test", 2)
	if a, b := told(t, killed), told(t, alive); a != 1 || b != 3 {
		t.Errorf("told %d and %d of, want 1 and 3", a, b)
	}
	if w := s.shared().Watching; w != watcherBits(1-slot, false) {
		t.Errorf("watching is %#x", w)
	}
	check(t, s.sweepWatchers())
	for i, want := range []bool{false, true} {
		if have, err := s.hasBuffer(uint32(i)); have != want || err != nil {
			t.Errorf("slot %d has a buffer: %v, %v", i, have, err)
		}
	}
	page.at(1 - slot).Lease = 0
	check(t, s.sweepWatchers())
	if w := s.shared().Watching; w != 0 {
		t.Errorf("watching is %#x", w)
	}
}

func TestTooManyWatchers(t *testing.T) {
	s := choreSystem(t)
	for range MaxWatchers {
		testWatcher(t, s, 4096, false)
	}
	buffer, err := ebpf.NewMap(&ebpf.MapSpec{Name: "events", Type: ebpf.RingBuf, MaxEntries: 4096})
	check(t, err)
	defer buffer.Close()
	if _, _, err := s.addWatcher(buffer); !errors.Is(err, ErrTooManyWatchers) {
		t.Errorf("one more: %v", err)
	}
}
