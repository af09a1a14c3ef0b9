package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// An uplink is a veth whose other end is in the internet. What leaves by it has its address.
type uplink struct {
	name        string
	ours, peers netip.Prefix
	metric      int
}

var (
	wan = uplink{"wan0", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("192.0.2.1/24"), 100}
	vpn = uplink{"vpn0", netip.MustParsePrefix("198.51.100.2/24"), netip.MustParsePrefix("198.51.100.1/24"), 500}
)

// Servers, by what the configuration in ../root says of them.
var (
	ruled       = netip.MustParseAddr("203.0.113.10") // ruled.example, by vpn0
	plain       = netip.MustParseAddr("203.0.113.30") // plain.example, no rule
	blocked     = netip.MustParseAddr("203.0.113.40") // blocked.example
	ruledPrefix = netip.MustParseAddr("203.0.113.50") // no name: 203.0.113.48/28, by vpn0
	blockedAddr = netip.MustParseAddr("203.0.113.64") // no name
	names       = map[string]netip.Addr{"ruled.example.": ruled, "plain.example.": plain, "blocked.example.": blocked}
)

// dnsServer is in /etc/resolv.conf, httpPort where every server tells the address it sees.
const (
	dnsServer = "192.0.2.1:53"
	httpPort  = 80
)

// world makes all that and serves, until it is told to end.
func world() error {
	// Before anything of a network is there: the order that systemd kept.
	if err := note("before-network", steering()); err != nil {
		return err
	}
	internet, err := lab.NewNamespace()
	if err != nil {
		return err
	}
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	for _, u := range []uplink{wan, vpn} {
		if err := u.make(here, internet); err != nil {
			return fmt.Errorf("make %s: %w", u.name, err)
		}
	}
	for _, a := range []netip.Addr{ruled, plain, blocked, ruledPrefix, blockedAddr} {
		if err := address(internet.NL, "lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	if err := internet.Do(serve); err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, unix.SIGTERM)
	<-end
	return nil
}

// steering tells whether domain-route is in the kernel.
func steering() string {
	_, err := os.Stat("/sys/fs/bpf/domain-route/live")
	return fmt.Sprint(err == nil)
}

func (u uplink) make(here *netlink.Handle, internet *lab.Namespace) error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: u.name}, PeerName: u.name}
	var there int
	err := internet.Do(func() error {
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		there = fd
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(there)
	pair.PeerNamespace = netlink.NsFd(there)
	if err := here.LinkAdd(pair); err != nil {
		return err
	}
	if err := errors.Join(address(here, u.name, u.ours), address(internet.NL, u.name, u.peers)); err != nil {
		return err
	}
	return here.RouteAdd(&netlink.Route{LinkIndex: pair.Index, Gw: u.peers.Addr().AsSlice(), Priority: u.metric})
}

// address gives an interface an address, and brings it up.
func address(nl *netlink.Handle, name string, p netip.Prefix) error {
	dev, err := nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	return errors.Join(nl.AddrAdd(dev, a), nl.LinkSetUp(dev))
}

// serve opens the servers' sockets, in the namespace of the calling thread.
func serve() error {
	web, err := net.Listen("tcp", fmt.Sprintf(":%d", httpPort))
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", dnsServer)
	if err != nil {
		return err
	}
	go func() { _ = (&dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(answer)}).ActivateAndServe() }()
	go func() {
		for {
			c, err := web.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap().String())
			c.Close()
		}
	}()
	return nil
}

func answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	if a, ok := names[q.Question[0].Name]; !ok {
		m.Rcode = dns.RcodeNameError
	} else if q.Question[0].Qtype == dns.TypeA {
		header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
		m.Answer = []dns.RR{&dns.A{Hdr: header, A: a.AsSlice()}}
	}
	_ = w.WriteMsg(m)
}

// ready tells systemd that units which are ordered after this one may start.
func ready() error {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer c.Close()
	_, err = io.WriteString(c, "READY=1")
	return err
}
