package threats

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// closedPort is one that no server of the lab listens on.
const closedPort = 9

// bindingLab has servers under two rules, and one under none.
type bindingLab struct {
	*harness.Host
	bank, bank2, shop, ads, plain lab.Host
	last                          map[string]uint64 // counters
}

func newBindingLab(t *testing.T) *bindingLab {
	h := harness.Started(t)
	check(t, h.AddUplink("vpn1", lab.UplinkOptions{}))
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "shop.example", "vpn1")
	h.Must("rule", "add", "ads.example", "block")
	return &bindingLab{h, h.MustHost("bank.example"), h.MustHost("www.bank.example"), h.MustHost("shop.example"),
		h.MustHost("ads.example"), h.MustHost("plain.example"), h.Counters()}
}

// way is how a program uses its socket.
type way struct {
	kind   string // of socket
	mapped bool   // IPv4 addresses on an IPv6 socket
	v6     bool
}

func (w way) String() string {
	if w.mapped {
		return w.kind + " v4-mapped"
	}
	return w.kind
}

var ways = []way{{"tcp4", false, false}, {"tcp6", false, true}, {"tcp6", true, false},
	{"udp4", false, false}, {"udp6", false, true}, {"udp6", true, false}}

// user is a socket in the hands of a test.
type user struct {
	*bindingLab
	*lab.Socket
	t   *testing.T
	way way
	tag string
}

func (u *user) to(h lab.Host) netip.Addr {
	if u.way.v6 {
		return h.Addr6
	}
	return h.Addr4
}

// port is one whose server does not answer the byte that is sent: a datagram socket that connects again keeps its source
// address, so that answers may come back by another interface and find no socket.
func (u *user) port() uint16 {
	if u.udp() {
		return lab.DNSPort
	}
	return lab.EchoPort
}

func (u *user) udp() bool { return strings.HasPrefix(u.way.kind, "udp") }

// connect connects to a server and checks the interface the socket is bound to then ("" for none), the uplinks by which
// packets to that server have left, and the counter that moved.
func (u *user) connect(h lab.Host, bound, left, counter string) {
	u.t.Helper()
	u.ResetPackets()
	if err := u.Connect(port(u.to(h), u.port())); err != nil {
		u.t.Errorf("%s: connect: %v", u.tag, err)
		return
	}
	u.bound(bound)
	if u.udp() {
		if err := u.Send([]byte("x")); err != nil {
			u.t.Errorf("%s: send: %v", u.tag, err)
		}
	}
	eventually(u.t, u.tag+": packets leave", func() bool { return u.left(h) != "" })
	if got := u.left(h); got != left {
		u.t.Errorf("%s: packets left by %s, want %s", u.tag, got, left)
	}
	before := u.last
	u.last = u.Counters()
	if u.last[counter] != before[counter]+1 {
		u.t.Errorf("%s: counter %s did not move", u.tag, counter)
	}
}

// refused connects and checks that the kernel says so and nothing leaves.
func (u *user) refused(h lab.Host, want lab.Errno, bound string) {
	u.t.Helper()
	u.ResetPackets()
	if err := u.Connect(port(u.to(h), u.port())); !errors.Is(err, want) {
		u.t.Errorf("%s: connect: %v, want %v", u.tag, err, want)
	}
	u.bound(bound)
	if got := u.left(h); got != "" {
		u.t.Errorf("%s: packets left by %s", u.tag, got)
	}
}

func (u *user) bound(want string) {
	u.t.Helper()
	if got, err := u.Device(); got != want || err != nil {
		u.t.Errorf("%s: bound to %q, %v; want %q", u.tag, got, err, want)
	}
}

// left names the uplinks by which packets to a server have left since the last reset.
func (u *user) left(h lab.Host) string {
	u.t.Helper()
	var by []string
	for _, name := range []string{"wan0", "vpn0", "vpn1"} {
		n, err := u.UplinkPackets(name, u.to(h))
		check(u.t, err)
		if n > 0 {
			by = append(by, name)
		}
	}
	return strings.Join(by, " ")
}

// habit is what a program does with one socket.
type habit struct {
	what string
	udp  bool // UDP only
	do   func(u *user, root bool)
}

var habits = []habit{
	{"leaves it to us", false, func(u *user, _ bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
	}},
	{"bound elsewhere", false, func(u *user, _ bool) {
		check(u.t, u.BindDevice("wan0"))
		u.connect(u.bank, "wan0", "wan0", "left_bound")
	}},
	{"bound to another rule's interface", false, func(u *user, _ bool) {
		check(u.t, u.BindDevice("vpn1"))
		u.connect(u.bank, "vpn1", "vpn1", "left_bound")
	}},
	{"bound to where we would", false, func(u *user, _ bool) {
		check(u.t, u.BindDevice("vpn0"))
		u.connect(u.bank, "vpn0", "vpn0", "left_bound")
	}},
	{"bound, to where no rule is", false, func(u *user, _ bool) {
		check(u.t, u.BindDevice("vpn1"))
		u.connect(u.plain, "vpn1", "vpn1", "unknown")
	}},
	{"bound, to what is blocked for others", false, func(u *user, _ bool) {
		check(u.t, u.BindDevice("wan0"))
		u.connect(u.ads, "wan0", "wan0", "left_bound")
	}},
	{"blocked", false, func(u *user, _ bool) {
		u.refused(u.ads, "EHOSTUNREACH", "")
	}},
	{"marked", false, func(u *user, root bool) {
		if err := u.SetMark(0x23); !root {
			if !errors.Is(err, lab.Errno("EPERM")) {
				u.t.Errorf("%s: a user set a mark: %v", u.tag, err)
			}
			return
		} else if err != nil {
			u.t.Error(err)
		}
		u.connect(u.bank, "", "wan0", "left_marked")
		if mark, err := u.Mark(); mark != 0x23 || err != nil {
			u.t.Errorf("%s: mark %#x, %v", u.tag, mark, err)
		}
	}},
	{"reconnects to the same rule", true, func(u *user, root bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		u.connect(u.bank2, "vpn0", "vpn0", map[bool]string{true: "steered", false: "kept"}[root])
	}},
	{"reconnects to another rule", true, func(u *user, root bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		if root {
			u.connect(u.shop, "vpn1", "vpn1", "steered")
			u.connect(u.bank, "vpn0", "vpn0", "steered")
		} else {
			u.refused(u.shop, "EPERM", "vpn0")
			u.connect(u.bank, "vpn0", "vpn0", "kept")
		}
	}},
	{"reconnects to no rule", true, func(u *user, root bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		if root {
			u.connect(u.plain, "", "wan0", "unknown")
		} else {
			u.connect(u.plain, "vpn0", "vpn0", "kept_old")
		}
	}},
	{"reconnects from no rule", true, func(u *user, _ bool) {
		u.connect(u.plain, "", "wan0", "unknown")
		u.connect(u.bank, "vpn0", "vpn0", "steered")
	}},
	{"disconnects between", true, func(u *user, _ bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		check(u.t, u.Disconnect())
		u.bound("") // the kernel takes every binding off
		u.connect(u.shop, "vpn1", "vpn1", "steered")
		check(u.t, u.Disconnect())
		u.connect(u.plain, "", "wan0", "unknown")
	}},
	{"disconnects and binds", true, func(u *user, _ bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		check(u.t, u.Disconnect())
		check(u.t, u.BindDevice("wan0"))
		u.connect(u.shop, "wan0", "wan0", "left_bound")
	}},
	{"bound, reconnects", true, func(u *user, _ bool) {
		check(u.t, u.BindDevice("wan0"))
		u.connect(u.bank, "wan0", "wan0", "left_bound")
		u.connect(u.shop, "wan0", "wan0", "left_bound")
	}},
	{"binds after us", true, func(u *user, root bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		if err := u.BindDevice("wan0"); root != (err == nil) {
			u.t.Errorf("%s: bind again: %v", u.tag, err)
		} else if root {
			u.connect(u.shop, "wan0", "wan0", "left_bound")
		}
	}},
	{"unbinds after us", true, func(u *user, root bool) {
		u.connect(u.bank, "vpn0", "vpn0", "steered")
		if err := u.BindDevice(""); root != (err == nil) {
			u.t.Errorf("%s: unbind: %v", u.tag, err)
		} else if root {
			u.connect(u.shop, "vpn1", "vpn1", "steered")
		}
	}},
}

// G10: what a program bound or marked itself is left alone, for root and others alike; what we bound is decided again at
// each connect, and where the kernel does not let us move it, refused rather than sent by the wrong interface.
// Defence: the look at bound_dev_if and mark in steer(), steered_sockets, release() and bind_chain().
func TestOwnBindings(t *testing.T) {
	l := newBindingLab(t)
	for _, uid := range []uint32{0, alice} {
		a := l.MustAgent(lab.AgentOptions{UID: uid})
		for _, name := range []string{"bank.example", "www.bank.example", "shop.example", "ads.example"} {
			resolve(t, a, lab.Query{Name: name})
			resolve(t, a, lab.Query{Name: name, Type: dns.TypeAAAA})
		}
		for _, w := range ways {
			for _, hb := range habits {
				if hb.udp && strings.HasPrefix(w.kind, "tcp") {
					continue
				}
				s, err := a.Socket(w.kind)
				check(t, err)
				hb.do(&user{l, s, t, w, fmt.Sprintf("uid %d, %v, %s", uid, w, hb.what)}, uid == 0)
				check(t, s.Close())
			}
		}
	}
}

// A TCP socket whose connect was refused by the peer may be used again, and is still bound by us then.
func TestTCPConnectsAgain(t *testing.T) {
	l := newBindingLab(t)
	for _, uid := range []uint32{0, alice} {
		a := l.MustAgent(lab.AgentOptions{UID: uid})
		for _, name := range []string{"bank.example", "shop.example"} {
			resolve(t, a, lab.Query{Name: name})
			resolve(t, a, lab.Query{Name: name, Type: dns.TypeAAAA})
		}
		for _, w := range ways[:3] {
			s, err := a.Socket(w.kind)
			check(t, err)
			u := &user{l, s, t, w, fmt.Sprintf("uid %d, %v", uid, w)}
			if err := u.Connect(port(u.to(u.bank), closedPort)); !errors.Is(err, lab.Errno("ECONNREFUSED")) {
				t.Errorf("%s: connect to a closed port: %v", u.tag, err)
			}
			// The kernel tells it once more, without asking the hooks.
			if err := u.Connect(port(u.to(u.shop), lab.EchoPort)); !errors.Is(err, lab.Errno("ECONNABORTED")) {
				t.Errorf("%s: connect after that: %v", u.tag, err)
			}
			u.bound("vpn0")
			u.last = u.Counters()
			if uid == 0 {
				u.connect(u.shop, "vpn1", "vpn1", "steered")
			} else {
				u.refused(u.shop, "EPERM", "vpn0")
				u.connect(u.bank, "vpn0", "vpn0", "kept")
			}
			check(t, s.Close())
		}
	}
}
