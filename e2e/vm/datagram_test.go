package vm

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// datagrams: an unconnected socket's first one does not leave by the wrong interface, whether the kernel sends it again by
// itself or the program has to; and a mark is set.
func datagrams(t *testing.T, h *harness.Host) {
	server, marked := h.MustHost("datagram.test"), h.MustHost("marked.test")
	apply(t, h, "datagram.test vpn0", "marked.test mark:0x23")
	for _, uid := range []uint32{0, 4242} {
		a := agent(h, lab.AgentOptions{UID: uid})
		learn(t, a, "datagram.test", "marked.test")
		for kind, to := range map[string]netip.Addr{"udp4": server.Addr4, "udp6": server.Addr6} {
			s, err := a.Socket(kind)
			check(t, err)
			h.ResetPackets()
			for range 3 {
				n, err := s.SendTo([]byte("hello"), netip.AddrPortFrom(to, lab.EchoPort))
				check(t, err)
				if n > 1 {
					t.Errorf("uid %d, %s: refused %d times", uid, kind, n)
				}
			}
			wantPackets(t, h, fmt.Sprintf("uid %d, %s", uid, kind), to)
		}
		s, err := a.Socket("udp4")
		check(t, err)
		_, err = s.SendTo([]byte("hello"), netip.AddrPortFrom(marked.Addr4, lab.EchoPort))
		check(t, err)
		if mark, err := s.Mark(); mark != 0x23 || err != nil {
			t.Errorf("uid %d: mark %#x, %v", uid, mark, err)
		}
	}
}

// wantPackets wants packets of an address by vpn0 and none by wan0.
func wantPackets(t *testing.T, h *harness.Host, what string, to netip.Addr) {
	t.Helper()
	right, err := h.UplinkPackets("vpn0", to)
	check(t, err)
	wrong, err := h.UplinkPackets("wan0", to)
	check(t, err)
	if right == 0 || wrong > 0 {
		t.Errorf("%s: %d packets by vpn0, %d by wan0", what, right, wrong)
	}
}
