package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Metrics of default routes; the kernel takes the lowest.
const (
	wanMetric    = 100
	othersMetric = 5000
	maxUplinks   = 16
)

// Uplink is an interface of the client that leads to the internet.
type Uplink struct {
	Name string
	// Index changes whenever the uplink is created again; 0 is an uplink that does not exist.
	Index int
	// Addr4 and Addr6 are the client's addresses, Gateway4 and Gateway6 the internet's, on the same /28 and /64.
	Addr4, Addr6, Gateway4, Gateway6 netip.Addr
}

// UplinkOptions shape an uplink.
type UplinkOptions struct {
	// NoDefaultRoute leaves out the default routes by this uplink.
	NoDefaultRoute bool
	// Metric of the default routes; 0 stands for a high one, so that nothing takes the uplink unless bound to it.
	Metric int
	// Tun makes a device without Ethernet header instead of a veth.
	Tun bool
}

// uplink is the plan of an Uplink, which outlives the link.
type uplink struct {
	Uplink
	opts UplinkOptions
	slot int
	tun  []*os.File // both ends, while a tun uplink exists
}

func (u *uplink) peerName() string { return fmt.Sprintf("peer%d", u.slot) }

// AddUplink makes an uplink with addresses of its own; there may be 16 in the life of a lab.
func (l *Lab) AddUplink(name string, o UplinkOptions) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.links[name] != nil {
		return fmt.Errorf("add uplink %s: exists", name)
	}
	if l.slots == maxUplinks {
		return fmt.Errorf("add uplink %s: all %d sub-networks are used", name, maxUplinks)
	}
	slot := l.slots
	l.slots++
	if o.Metric == 0 {
		o.Metric = othersMetric + slot
	}
	u := &uplink{opts: o, slot: slot, Uplink: Uplink{
		Name:     name,
		Gateway4: netip.AddrFrom4([4]byte{203, 0, 113, byte(slot*16 + 1)}),
		Addr4:    netip.AddrFrom4([4]byte{203, 0, 113, byte(slot*16 + 2)}),
		Gateway6: netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", 0x100+slot)),
		Addr6:    netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::2", 0x100+slot)),
	}}
	l.links[name] = u
	return l.create(u)
}

// Uplink describes an uplink; one that was never added is the zero value, one that is deleted has index 0.
func (l *Lab) Uplink(name string) Uplink {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.links[name]; u != nil {
		return u.Uplink
	}
	return Uplink{}
}

// CreateUplink makes a deleted uplink again, with the same addresses and routes and another index.
func (l *Lab) CreateUplink(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.links[name]
	if u == nil {
		return fmt.Errorf("create uplink %s: never added", name)
	}
	return l.create(u)
}

// DeleteUplink removes the link; it returns when both ends are gone.
func (l *Lab) DeleteUplink(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.links[name]
	if u == nil || u.Index == 0 {
		return fmt.Errorf("delete uplink %s: does not exist", name)
	}
	if u.opts.Tun {
		closeAll(u.tun)
		u.tun = nil
	} else if err := l.Client.NL.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, Index: u.Index}}); err != nil {
		return fmt.Errorf("delete uplink %s: %w", name, err)
	}
	index := u.Index
	u.Index = 0
	err := await("uplink "+name+" to be gone", func() (bool, error) {
		_, here := l.Client.NL.LinkByIndex(index)
		_, there := l.Internet.NL.LinkByName(u.peerName())
		return notFound(here) && notFound(there), nil
	})
	return err
}

// RenameUplink renames the link, which keeps its index, addresses and routes.
func (l *Lab) RenameUplink(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.links[from]
	if u == nil || u.Index == 0 || l.links[to] != nil {
		return fmt.Errorf("rename uplink %s to %s: the first must exist, the second not", from, to)
	}
	link, err := l.Client.NL.LinkByIndex(u.Index)
	if err != nil {
		return fmt.Errorf("rename uplink %s: %w", from, err)
	}
	err = l.Client.NL.LinkSetName(link, to)
	down := errors.Is(err, unix.EBUSY) // before 6.2 only a link that is down can be renamed
	if down {
		if err = l.Client.NL.LinkSetDown(link); err == nil {
			err = l.Client.NL.LinkSetName(link, to)
		}
	}
	if err != nil {
		return fmt.Errorf("rename uplink %s to %s: %w", from, to, err)
	}
	delete(l.links, from)
	l.links[to] = u
	u.Name = to
	if down {
		return l.configure(u)
	}
	return nil
}

func (l *Lab) create(u *uplink) error {
	if u.Index != 0 {
		return fmt.Errorf("create uplink %s: exists", u.Name)
	}
	var err error
	if u.opts.Tun {
		u.tun, err = l.makeTun(u.Name, u.peerName())
	} else {
		err = l.Client.NL.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: u.Name},
			PeerName:      u.peerName(),
			PeerNamespace: netlink.NsFd(l.Internet.fd),
		})
	}
	if err != nil {
		return fmt.Errorf("create uplink %s: %w", u.Name, err)
	}
	link, err := l.Client.NL.LinkByName(u.Name)
	if err != nil {
		return fmt.Errorf("create uplink %s: %w", u.Name, err)
	}
	u.Index = link.Attrs().Index
	return l.configure(u)
}

// configure sets both ends up, with addresses and routes, and waits until they can be used.
func (l *Lab) configure(u *uplink) error {
	steps := []func() error{
		func() error { return l.Internet.up(u.peerName()) },
		func() error { return l.Client.up(u.Name) },
		func() error { return l.sniffer.watch(u) },
		func() error { return l.running(u) },
		func() error { return l.Internet.address(u.peerName(), netip.PrefixFrom(u.Gateway4, 28)) },
		func() error { return l.Internet.address(u.peerName(), netip.PrefixFrom(u.Gateway6, 64)) },
		func() error { return l.Client.address(u.Name, netip.PrefixFrom(u.Addr4, 28)) },
		func() error { return l.Client.address(u.Name, netip.PrefixFrom(u.Addr6, 64)) },
	}
	if !u.opts.NoDefaultRoute {
		steps = append(steps,
			func() error { return l.Client.defaultRoute(u, u.Gateway4, "0.0.0.0/0") },
			func() error { return l.Client.defaultRoute(u, u.Gateway6, "::/0") })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("uplink %s: %w", u.Name, err)
		}
	}
	return nil
}

// address gives a link an address and waits until the kernel takes it for its own. IPv6 gets there later, by a work queue,
// duplicate address detection or not, and answers with "no route" before.
func (ns *Namespace) address(name string, p netip.Prefix) error {
	link, err := ns.NL.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := ns.NL.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("add %v to %s: %w", p, name, err)
	}
	return await("address "+p.Addr().String(), func() (bool, error) {
		routes, err := ns.NL.RouteGet(p.Addr().AsSlice())
		return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL, nil
	})
}

// running waits until both ends are operational: before that a veth drops what it is given. A tun device never says so
// and needs no wait.
func (l *Lab) running(u *uplink) error {
	if u.opts.Tun {
		return nil
	}
	return await("the link to run", func() (bool, error) {
		here, err := l.Client.NL.LinkByName(u.Name)
		if err != nil {
			return false, err
		}
		there, err := l.Internet.NL.LinkByName(u.peerName())
		if err != nil {
			return false, err
		}
		return here.Attrs().OperState == netlink.OperUp && there.Attrs().OperState == netlink.OperUp, nil
	})
}

func (ns *Namespace) defaultRoute(u *uplink, gateway netip.Addr, all string) error {
	r := &netlink.Route{
		LinkIndex: u.Index,
		Dst:       ipNet(netip.MustParsePrefix(all)),
		Gw:        gateway.AsSlice(),
		Priority:  u.opts.Metric,
	}
	if err := ns.NL.RouteReplace(r); err != nil {
		return fmt.Errorf("add default route by %v: %w", gateway, err)
	}
	return nil
}

// SetUplinkState sets an uplink up or down without removing it; down loses its IPv6 addresses and routes, up brings them back.
func (l *Lab) SetUplinkState(name string, up bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.links[name]
	if u == nil || u.Index == 0 {
		return fmt.Errorf("set state of uplink %s: does not exist", name)
	}
	if up {
		return l.configure(u)
	}
	link, err := l.Client.NL.LinkByIndex(u.Index)
	if err == nil {
		err = l.Client.NL.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("set uplink %s down: %w", name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func notFound(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
