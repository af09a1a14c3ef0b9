package scale

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// mostMemory is what apply may take with a million rules, in bytes.
const mostMemory = 300_000_000

// apart is how many connections there are before and after a swap, at least.
const apart = 150

// While large rule sets take each other's place, each connection goes where the one or the other says, never a third way;
// and once one has followed the new rules, or the command has ended, none that begins then follows the old ones.
func TestSwapUnderConnects(t *testing.T) {
	h := harness.New(t, lab.Options{})
	check(t, h.AddUplink(newWay, lab.UplinkOptions{}))
	actors := theActors()
	for _, a := range actors {
		a.host = h.MustHost(a.name)
	}
	files := writeSets(t, h, actors, number(t, envSize, size))
	shrink(t)
	h.Must("start", "--cgroup", h.Cgroup)
	_, err := apply(h, harness.Binary(t), files[0])
	check(t, err)
	m := newHammer(h, actors)
	for i, uid := range []uint32{0, user, 0} {
		a := h.MustAgent(lab.AgentOptions{UID: uid, Timeout: 5 * time.Second})
		for _, actor := range actors {
			check(t, via.Learn(a, actor.name))
		}
		if i == 2 { // it follows names by the host's evidence, as its own processes' is of others
			check(t, a.Close())
			a = h.MustAgent(lab.AgentOptions{Timeout: 5 * time.Second})
		}
		m.client(a, uid, (*client).known)
	}
	sum := tally{ways: map[string]int{}}
	for i := range number(t, envSwaps, swaps) {
		a := h.MustAgent(lab.AgentOptions{UID: uint32(3000 + i), Timeout: 5 * time.Second})
		m.client(a, uint32(3000+i), newcomer(400))
		sum.add(t, m.swap(t, i%2, harness.Binary(t), files[1-i%2]))
		m.checkPackets(t)
		if t.Failed() {
			break
		}
	}
	check(t, m.end())
	sum.check(t)
}

// swapped is what happened around a swap.
type swapped struct {
	applied
	from int // the rule set before
	made []connection
}

// swap puts the other rule set in force amid connections.
func (m *hammer) swap(t *testing.T, from int, bin, file string) swapped {
	t.Helper()
	s := swapped{from: from}
	s.made = m.take(s.made, apart)
	done := make(chan error)
	go func() {
		var err error
		s.applied, err = apply(m.h, bin, file)
		done <- err
	}()
	for running := true; running; {
		select {
		case c := <-m.made:
			s.made = append(s.made, c)
		case err := <-done:
			check(t, err)
			running = false
		}
	}
	now := time.Since(clock)
	for after := 0; after < apart; { // those under way at the end do not count
		c := <-m.made
		s.made = append(s.made, c)
		if c.began > now {
			after++
		}
	}
	return s
}

// take adds connections as they are made.
func (m *hammer) take(to []connection, n int) []connection {
	for range n {
		to = append(to, <-m.made)
	}
	return to
}

// tally sums up several swaps.
type tally struct {
	made, meanwhile, changed int
	ways                     map[string]int
	longest                  time.Duration
	memory                   int64
}

// add looks at each connection around a swap.
func (y *tally) add(t *testing.T, s swapped) {
	t.Helper()
	turned := s.ended // when the new rules were followed for sure
	for _, c := range s.made {
		if old, now := c.follows(s.from); now && !old {
			turned = min(turned, c.ended)
		}
	}
	y.longest, y.memory = max(y.longest, s.ended-s.began), max(y.memory, s.memory)
	wrong := 0
	for _, c := range s.made {
		old, now := c.follows(s.from)
		switch {
		case wrong > 20:
			t.Fatal("and so on")
		case !old && !now:
			wrong++
			t.Errorf("neither old nor new: %s; the swap took %v..%v", c, s.began, s.ended)
		case c.ended < s.began && !old:
			wrong++
			t.Errorf("new before the swap: %s; it took %v..%v", c, s.began, s.ended)
		case c.began > turned && !now:
			wrong++
			t.Errorf("old after new: %s; the swap took %v..%v, and somebody followed the new rules by %v", c, s.began, s.ended, turned)
		}
		y.made++
		y.ways[c.actor.name+" "+c.way]++
		if old != now {
			y.changed++
		}
		if c.began > s.began && c.ended < s.ended {
			y.meanwhile++
		}
	}
}

// follows tells whether a connection went where the set that was, and the one that is, would have it.
func (c connection) follows(from int) (old, now bool) {
	return c.way == c.actor.way(from, c.uid), c.way == c.actor.way(1-from, c.uid)
}

func (y *tally) check(t *testing.T) {
	t.Helper()
	t.Logf("%d connections, %d while apply ran, %d that the rules made a difference to; apply took %v and %d MB at most; %v",
		y.made, y.meanwhile, y.changed, y.longest.Round(time.Millisecond), y.memory/1e6, y.ways)
	if y.memory > mostMemory {
		t.Errorf("apply took %d MB, want %d at most", y.memory/1e6, mostMemory/1_000_000)
	}
	if y.made < 2000 || y.meanwhile < 500 || y.changed < 1000 {
		t.Error("too few connections to tell")
	}
}

// checkPackets fails if the servers that both rule sets have a rule for heard anything by the default route, which no
// client told of. Over IPv6 only what arrived at a server counts: a last acknowledgement leaves by that route (README).
func (m *hammer) checkPackets(t *testing.T) {
	t.Helper()
	wrong := []netip.Addr{m.h.Uplink(none).Addr4, m.h.Uplink(none).Addr6}
	for _, a := range m.actors {
		packets, err := m.h.UplinkPackets(none, a.host.Addr4)
		check(t, err)
		hits := 0
		for _, hit := range append(m.h.HitsOn(a.host.Addr4), m.h.HitsOn(a.host.Addr6)...) {
			if slices.Contains(wrong, hit.Client.Addr()) {
				hits++
			}
		}
		switch {
		case a.ruled && packets+hits > 0:
			t.Errorf("%d packets to %s left by %s, and %d connections came by it", packets, a.name, none, hits)
		case a.name == "plain.test" && (packets == 0 || hits == 0):
			t.Errorf("%d packets to %s, %d connections: are they counted?", packets, a.name, hits)
		}
	}
	m.h.ResetHits()
	m.h.ResetPackets()
}
