package udp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

// One sendmmsg to several: the kernel ends it before the first that is refused, and tells the error only when that is
// the very first.
func TestBatches(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		for _, c := range []struct {
			what, sites string
			want        []any // numbers sent, or errnos, of one call after the other
			left        map[string]string
		}{
			{"all to one", "bank bank bank", []any{lab.Errno("EINTR"), 3}, map[string]string{"bank": "vpn0"}},
			{"ruled first", "bank plain bank2", []any{lab.Errno("EINTR"), 3},
				map[string]string{"bank": "vpn0", "bank2": "vpn0", "plain": "vpn0"}},
			{"ruled later", "plain bank plain", []any{1, 1}, map[string]string{"bank": "", "plain": "wan0"}},
			{"blocked between", "bank ads bank", []any{lab.Errno("EINTR"), 1}, map[string]string{"bank": "vpn0", "ads": ""}},
		} {
			k := w.talker(t, a, way, c.what)
			var to []netip.AddrPort
			for site := range strings.FieldsSeq(c.sites) {
				to = append(to, port(k.addr(site), lab.EchoPort))
			}
			w.ResetPackets()
			answers := 0
			for i, want := range c.want {
				if want == lab.Errno("EINTR") && restarts() {
					continue
				}
				n, err := k.SendBatch([]byte("hello"), to...)
				switch want := want.(type) {
				case int:
					answers += n
					if n != want || err != nil {
						t.Errorf("%s: call %d sent %d, %v, want %d", c.what, i+1, n, err, want)
					}
				case lab.Errno:
					if !errors.Is(err, want) {
						t.Errorf("%s: call %d: %v, want %v", c.what, i+1, err, want)
					}
				}
			}
			k.drain(answers)
			for site, want := range c.left {
				if by := k.left(site); by != want {
					t.Errorf("%s: to %s by %q, want %q", c.what, site, by, want)
				}
			}
		}
	})
}

// drain receives all answers: what comes for a closed socket would be answered by ICMP, and by the routing table.
func (k *talker) drain(n int) {
	k.t.Helper()
	for range n {
		if _, _, err := k.Recv(); err != nil {
			k.t.Errorf("%s: answer missing: %v", k.tag, err)
			return
		}
	}
}

// interrupted checks that a first call is refused with EINTR and nothing leaves, where the kernel does not restart it.
func (k *talker) interrupted(site string, call func() error) {
	k.t.Helper()
	if restarts() {
		return
	}
	if err := call(); !errors.Is(err, lab.Errno("EINTR")) {
		k.t.Errorf("%s: first call: %v", k.tag, err)
	}
	if by := k.left(site); by != "" {
		k.t.Errorf("%s: packets left by %s", k.tag, by)
	}
}

// Many datagrams in one sendmsg (UDP_SEGMENT, as QUIC does) are steered or refused together.
func TestSegments(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		k := w.talker(t, a, way, "segments")
		to := port(k.addr("bank"), lab.EchoPort)
		w.ResetPackets()
		k.interrupted("bank", func() error { return k.SendSegments(10, to) })
		check(t, k.SendSegments(10, to))
		k.drain(10)
		if by := k.left("bank"); by != "vpn0" {
			t.Errorf("packets left by %s", by)
		}
	})
}

// A datagram in several parts has its way from the first.
func TestParts(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		more := w.talker(t, a, way, "MSG_MORE")
		to := port(more.addr("bank"), lab.EchoPort)
		w.ResetPackets()
		more.interrupted("bank", func() error { return more.SendMore([]byte("hel"), to) })
		check(t, more.SendMore([]byte("hel"), to))
		check(t, more.SendToOnce([]byte("lo"), to))
		more.answered("MSG_MORE", "bank", "vpn0")

		corked := w.talker(t, a, way, "UDP_CORK")
		check(t, corked.Cork(true))
		_, err := corked.SendTo([]byte("hel"), to)
		check(t, err)
		_, err = corked.SendTo([]byte("lo"), to)
		check(t, err)
		check(t, corked.Cork(false))
		corked.answered("UDP_CORK", "bank", "vpn0")
		if by := more.left("bank"); by != "vpn0" {
			t.Errorf("packets left by %s", by)
		}

		// While a part of one datagram waits, no other destination counts: the kernel does not ask the hook for it.
		mixed := w.talker(t, a, way, "parts to two")
		w.ResetPackets()
		check(t, mixed.SendMore([]byte("hel"), port(mixed.addr("plain"), lab.EchoPort)))
		check(t, mixed.SendToOnce([]byte("lo"), to))
		mixed.answered("parts to two", "plain", "wan0")
		if by := mixed.left("bank"); by != "" {
			t.Errorf("parts to two: packets to the second left by %s", by)
		}
	})
}
