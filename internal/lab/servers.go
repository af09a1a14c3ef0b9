package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Ports that every Host serves.
const (
	EchoPort = 7000 // TCP: a line with the client's address as seen, then echo; UDP: replies with that address
	HTTPPort = 80   // any path: the client's address and a newline
	SSHPort  = 22   // the banner "SSH-2.0-lab ADDRESS"
	DNSPort  = 53   // the name server; see DNS
)

// maxHosts is the number of addresses that hostAddr4 can give.
const maxHosts = 254 + 254 + 1<<16 - 1

// Host is one server, at one address of each family. Every address serves every port.
type Host struct{ Addr4, Addr6 netip.Addr }

// AddHost takes the next free server addresses: 198.51.100.1 and up (.53 is the name server's), then 192.0.2.0/24 and
// 198.18.0.0/16; 2001:db8:1::/64. There may be about 65,000.
func (l *Lab) AddHost() (Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hosts++
	if l.hosts == 53 {
		l.hosts++
	}
	if l.hosts > maxHosts {
		return Host{}, fmt.Errorf("add host: all %d addresses are used", maxHosts)
	}
	h := Host{Addr4: hostAddr4(l.hosts), Addr6: netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", l.hosts))}
	return h, l.addServerAddrs(h.Addr4, h.Addr6)
}

func hostAddr4(n int) netip.Addr {
	switch {
	case n <= 254:
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})
	case n <= 508:
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(n - 254)})
	}
	n -= 508
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}

// AddServerAddr makes the internet serve one more address, of any range.
func (l *Lab) AddServerAddr(addr netip.Addr) error { return l.addServerAddrs(addr) }

func (l *Lab) addServerAddrs(addrs ...netip.Addr) error {
	for _, a := range addrs {
		if err := l.Internet.address("lo", netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) startServers() error {
	for _, family := range []string{"4", "6"} {
		for port, serve := range map[int]func(net.Listener){
			EchoPort: l.serveEcho,
			HTTPPort: l.serveHTTP,
			SSHPort:  l.serveSSH,
		} {
			ln, err := l.listenTCP(family, port)
			if err != nil {
				return err
			}
			go serve(hitListener{ln, &l.hits})
		}
		conn, err := l.listenUDP(family, EchoPort)
		if err != nil {
			return err
		}
		go conn.serve(func(_ []byte, from, to netip.AddrPort) [][]byte {
			l.hits.add("udp", to, from)
			return [][]byte{[]byte(from.Addr().String())}
		})
	}
	return nil
}

// listenTCP listens on all addresses of the internet; family is "4" or "6". Close of the lab closes.
func (l *Lab) listenTCP(family string, port int) (ln net.Listener, err error) {
	err = l.Internet.Do(func() error {
		ln, err = net.Listen("tcp"+family, fmt.Sprintf(":%d", port))
		return err
	})
	if err == nil {
		l.onClose(ln.Close)
	}
	return ln, err
}

// hitListener logs each connection before anything is done with it.
type hitListener struct {
	net.Listener
	log *hitLog
}

func (h hitListener) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		h.log.add("tcp", addrPort(c.LocalAddr()), addrPort(c.RemoteAddr()))
	}
	return c, err
}

func (l *Lab) serveEcho(ln net.Listener) {
	acceptEach(ln, func(c net.Conn) {
		fmt.Fprintf(c, "%s\n", addrPort(c.RemoteAddr()).Addr())
		_, _ = io.Copy(c, c)
	})
}

func (l *Lab) serveSSH(ln net.Listener) {
	acceptEach(ln, func(c net.Conn) {
		fmt.Fprintf(c, "SSH-2.0-lab %s\r\n", addrPort(c.RemoteAddr()).Addr())
		_, _ = io.Copy(io.Discard, c)
	})
}

func (l *Lab) serveHTTP(ln net.Listener) {
	_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _ := netip.ParseAddrPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s\n", client.Addr().Unmap())
	}))
}

// acceptEach serves connections until the listener is closed.
func acceptEach(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

// udpServer answers on all addresses of the internet, each time from the address that was asked.
type udpServer struct {
	port  uint16
	read  func(b []byte) (n int, to net.IP, from net.Addr, err error)
	write func(b []byte, from net.IP, to net.Addr) error
}

func (l *Lab) listenUDP(family string, port int) (*udpServer, error) {
	var c net.PacketConn
	err := l.Internet.Do(func() (err error) {
		c, err = net.ListenPacket("udp"+family, fmt.Sprintf(":%d", port))
		return err
	})
	if err != nil {
		return nil, err
	}
	l.onClose(c.Close)
	if family == "4" {
		return newUDPServer4(c, uint16(port))
	}
	return newUDPServer6(c, uint16(port))
}

func newUDPServer4(c net.PacketConn, port uint16) (*udpServer, error) {
	p := ipv4.NewPacketConn(c)
	if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return nil, fmt.Errorf("ask for destination addresses: %w", err)
	}
	return &udpServer{
		port: port,
		read: func(b []byte) (int, net.IP, net.Addr, error) {
			n, cm, from, err := p.ReadFrom(b)
			if err != nil {
				return 0, nil, nil, err
			}
			return n, cm.Dst, from, nil
		},
		write: func(b []byte, from net.IP, to net.Addr) error {
			_, err := p.WriteTo(b, &ipv4.ControlMessage{Src: from}, to)
			return err
		},
	}, nil
}

func newUDPServer6(c net.PacketConn, port uint16) (*udpServer, error) {
	p := ipv6.NewPacketConn(c)
	if err := p.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return nil, fmt.Errorf("ask for destination addresses: %w", err)
	}
	return &udpServer{
		port: port,
		read: func(b []byte) (int, net.IP, net.Addr, error) {
			n, cm, from, err := p.ReadFrom(b)
			if err != nil {
				return 0, nil, nil, err
			}
			return n, cm.Dst, from, nil
		},
		write: func(b []byte, from net.IP, to net.Addr) error {
			_, err := p.WriteTo(b, &ipv6.ControlMessage{Src: from}, to)
			return err
		},
	}, nil
}

// serve sends back what answer makes of each datagram, until the socket is closed.
func (s *udpServer) serve(answer func(b []byte, from, to netip.AddrPort) [][]byte) {
	b := make([]byte, 65536)
	for {
		n, to, from, err := s.read(b)
		if err != nil {
			return
		}
		dst, _ := netip.AddrFromSlice(to)
		for _, reply := range answer(b[:n], addrPort(from), netip.AddrPortFrom(dst.Unmap(), s.port)) {
			_ = s.write(reply, to, from) // a client may be gone: nothing to do about it
		}
	}
}
