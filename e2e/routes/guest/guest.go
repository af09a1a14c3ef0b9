// Package guest makes a third network namespace, as of a container or a virtual machine, that a lab's client forwards for.
package guest

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// Link is the name of the client's end of the link to the guest.
const Link = "guest0"

var (
	client4 = netip.MustParsePrefix("192.168.77.1/24")
	guest4  = netip.MustParsePrefix("192.168.77.2/24")
	client6 = netip.MustParsePrefix("fd77::1/64")
	guest6  = netip.MustParsePrefix("fd77::2/64")
)

// Guest is the namespace.
type Guest struct{ NS *lab.Namespace }

// Addr is the address that servers see of the guest.
func (g Guest) Addr(k via.Kind) string {
	if k == via.TCP6 || k == via.UDP6 {
		return guest6.Addr().String()
	}
	return guest4.Addr().String()
}

// New joins a guest to the client, which forwards its packets by its own routes; the internet sends the answers back by
// the uplink given. The guest ends with the test.
func New(t testing.TB, l *lab.Lab, uplink string) Guest {
	t.Helper()
	ns, err := lab.NewNamespace()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	check(t, l.Client.NL.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: Link}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd()),
	}))
	address(t, l.Client, Link, client4, client6)
	address(t, ns, "eth0", guest4, guest6)
	check(t, l.Client.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return err
		}
		return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
	}))
	u := l.Uplink(uplink)
	route(t, ns, "0.0.0.0/0", client4.Addr())
	route(t, ns, "::/0", client6.Addr())
	route(t, l.Internet, guest4.Masked().String(), u.Addr4)
	route(t, l.Internet, guest6.Masked().String(), u.Addr6)
	return Guest{ns}
}

func address(t testing.TB, ns *lab.Namespace, name string, addrs ...netip.Prefix) {
	t.Helper()
	link, err := ns.NL.LinkByName(name)
	check(t, err)
	check(t, ns.NL.LinkSetUp(link))
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		check(t, ns.NL.AddrReplace(link, addr))
	}
}

func route(t testing.TB, ns *lab.Namespace, to string, gateway netip.Addr) {
	t.Helper()
	check(t, ns.NL.RouteReplace(&netlink.Route{Dst: ipNet(netip.MustParsePrefix(to)), Gw: gateway.AsSlice()}))
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
