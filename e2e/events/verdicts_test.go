package events

import (
	"cmp"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

const rulesOfVerdicts = `
steered.example vpn0
exact.example block
=exact.example vpn0
blocked.example block
refused.example nowhere0
direct.example direct
chain.example nowhere0,direct
marked.example mark:7
second.example nowhere0,vpn0
user.example vpn0 user=4321
user.example block
`

// verdict is what becomes of a connection or datagram to a name, and the rule that decides.
type verdict struct {
	name string
	uid  uint32
	kind dataplane.EventKind
	why  string
	rule string
}

var verdicts = []verdict{
	{"www.steered.example", 0, dataplane.EventSteered, "steered", "steered.example vpn0"},
	{"exact.example", 0, dataplane.EventSteered, "steered", "=exact.example vpn0"},
	{"www.exact.example", 0, dataplane.EventBlocked, "blocked", "exact.example block"},
	{"www.refused.example", 0, dataplane.EventRefused, "no_interface", "refused.example nowhere0"},
	{"www.direct.example", 0, dataplane.EventDirect, "direct", "direct.example direct"},
	{"www.chain.example", 0, dataplane.EventDirect, "chain_direct", "chain.example nowhere0,direct"},
	{"www.marked.example", 0, dataplane.EventMarked, "marked", "marked.example mark:0x7"},
	{"www.second.example", 0, dataplane.EventSteered, "steered", "second.example nowhere0,vpn0"},
	{"www.user.example", 4321, dataplane.EventSteered, "steered", "user.example vpn0 user=4321"},
	{"www.user.example", 1234, dataplane.EventBlocked, "blocked", "user.example block"},
}

func textOf(e dataplane.Event) string {
	if !e.Ruled {
		return ""
	}
	text := e.Rule.Pattern.String() + " " + e.Rule.Target.String()
	if c := e.Rule.Condition.String(); c != "" {
		text += " " + c
	}
	return text
}

// Each verdict is told as it was, by TCP and unconnected UDP, over IPv4 and IPv6.
func TestVerdicts(t *testing.T) {
	h := harness.Started(t)
	apply(t, h, rulesOfVerdicts)
	w := watch(t, dataplane.WatchOptions{})
	for _, v := range verdicts {
		s := h.MustHost(v.name)
		a := h.MustAgent(lab.AgentOptions{UID: v.uid})
		for _, to := range []netip.Addr{s.Addr4, s.Addr6} {
			resolve(t, a, v.name, to)
			e := next(t, w, isKind(dataplane.EventLearnt))
			checkLearnt(t, e, a, v, to)
			for protocol, dial := range map[string]func(netip.AddrPort) (string, error){"tcp": a.DialTCP, "udp": a.DialUDPUnconnected} {
				h.ResetHits()
				seen, err := dial(netip.AddrPortFrom(to, lab.EchoPort))
				e := next(t, w, func(dataplane.Event) bool { return true })
				checkVerdict(t, h, e, a, v, netip.AddrPortFrom(to, lab.EchoPort), protocol)
				checkPackets(t, h, e, v, to, seen, err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := w.Lost(); n != 0 {
		t.Errorf("%d were lost", n)
	}
	none(t, w)
}

func checkLearnt(t *testing.T, e dataplane.Event, a *lab.Agent, v verdict, to netip.Addr) {
	t.Helper()
	if e.Name.String() != v.name || e.Address != to || e.Observer != "sockets" || e.Why != "learnt" || e.TTL == 0 {
		t.Errorf("%s: learnt %+v", v.name, e)
	}
	if int(e.PID) != a.PID || e.UID != v.uid || e.Comm != "exe" || textOf(e) != v.rule {
		t.Errorf("%s: learnt by %d, user %d, %q with %q", v.name, e.PID, e.UID, e.Comm, textOf(e))
	}
}

func checkVerdict(t *testing.T, h *harness.Host, e dataplane.Event, a *lab.Agent, v verdict, to netip.AddrPort, protocol string) {
	t.Helper()
	if e.Kind != v.kind || e.Why != v.why || textOf(e) != v.rule || e.Name.String() != v.name {
		t.Errorf("%s by %s to %v: %s, %s, name %v, by %q; want %s, %s, %q", v.name, protocol, to, e.Kind, e.Why, e.Name, textOf(e), v.kind, v.why, v.rule)
	}
	if e.Address != to.Addr() || e.Port != to.Port() || e.Protocol != protocol {
		t.Errorf("%s: to %v %d by %s, want %v by %s", v.name, e.Address, e.Port, e.Protocol, to, protocol)
	}
	if int(e.PID) != a.PID || e.UID != v.uid || e.Comm != "exe" {
		t.Errorf("%s: of process %d, user %d, %q", v.name, e.PID, e.UID, e.Comm)
	}
	if want := h.Uplink("vpn0").Index; e.Kind == dataplane.EventSteered && (e.Interface != "vpn0" || e.Ifindex != want) {
		t.Errorf("%s: to interface %q, %d; want vpn0, %d", v.name, e.Interface, e.Ifindex, want)
	}
	if want := map[dataplane.EventKind]uint32{dataplane.EventMarked: 7}[e.Kind]; e.Mark != want {
		t.Errorf("%s: marked %d, want %d", v.name, e.Mark, want)
	}
}

// checkPackets compares an event with where the packets came from.
func checkPackets(t *testing.T, h *harness.Host, e dataplane.Event, v verdict, to netip.Addr, seen string, err error) {
	t.Helper()
	refused := e.Kind == dataplane.EventBlocked || e.Kind == dataplane.EventRefused
	if refused != (err != nil) {
		t.Errorf("%s: told %s, and it came to %q, %v", v.name, e.Kind, seen, err)
	}
	if refused {
		if hits := h.HitsOn(to); len(hits) > 0 {
			t.Errorf("%s: told %s, but the server saw %v", v.name, e.Kind, hits)
		}
		return
	}
	uplink := h.Uplink(cmp.Or(e.Interface, "wan0"))
	want := uplink.Addr6
	if to.Is4() {
		want = uplink.Addr4
	}
	if seen != want.String() {
		t.Errorf("%s: told %s to %q, and the server saw %q, want %v", v.name, e.Kind, e.Interface, seen, want)
	}
}
