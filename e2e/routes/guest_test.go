package routes

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// guestLink is the client's end of the link to the guest.
const guestLink = "guest0"

var (
	clientTo4 = netip.MustParsePrefix("192.168.77.1/24")
	guest4    = netip.MustParsePrefix("192.168.77.2/24")
	clientTo6 = netip.MustParsePrefix("fd77::1/64")
	guest6    = netip.MustParsePrefix("fd77::2/64")
)

// guest is a third network namespace, as of a container or a virtual machine, that the client forwards for.
type guest struct{ ns *lab.Namespace }

// addr is the address that servers see of the guest.
func (g guest) addr(k via.Kind) string {
	if k == via.TCP6 || k == via.UDP6 {
		return guest6.Addr().String()
	}
	return guest4.Addr().String()
}

// newGuest joins a guest to the client, which forwards its packets; the internet sends the answers back by an uplink.
func newGuest(t *testing.T, h *harness.Host, uplink string) guest {
	t.Helper()
	ns, err := lab.NewNamespace()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	check(t, h.Client.NL.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: guestLink}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd()),
	}))
	address(t, h.Client, guestLink, clientTo4, clientTo6)
	address(t, ns, "eth0", guest4, guest6)
	check(t, h.Client.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return err
		}
		return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0)
	}))
	route(t, ns, "0.0.0.0/0", clientTo4.Addr())
	route(t, ns, "::/0", clientTo6.Addr())
	back(t, h, uplink)
	return guest{ns}
}

// back makes the internet answer the guest by way of an uplink of the client.
func back(t *testing.T, h *harness.Host, uplink string) {
	t.Helper()
	route(t, h.Internet, guest4.Masked().String(), h.Uplink(uplink).Addr4)
	route(t, h.Internet, guest6.Masked().String(), h.Uplink(uplink).Addr6)
}

func address(t *testing.T, ns *lab.Namespace, name string, addrs ...netip.Prefix) {
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

func route(t *testing.T, ns *lab.Namespace, to string, gateway netip.Addr) {
	t.Helper()
	check(t, ns.NL.RouteReplace(&netlink.Route{Dst: ipNet(netip.MustParsePrefix(to)), Gw: gateway.AsSlice()}))
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
