package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	snapLength   = 64       // bytes of each packet looked at: the headers of IPv6 and TCP fit
	sniffBuffer  = 32 << 20 // bytes
	ethAll       = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	packetOffset = 0xfffff000 // SKF_AD_OFF
	packetType   = 4          // SKF_AD_PKTTYPE
)

// sniffer counts what arrives in the internet by each uplink. A nil sniffer counts nothing.
type sniffer struct {
	ns *Namespace
	fd int

	mu      sync.Mutex // guards what follows and reading from fd
	uplinks map[int]*uplink
	counts  map[flow]int
	last    map[flow]int // of which farewells
	ends    farewells
	lost    int
	closed  bool
}

type flow struct {
	slot int
	dst  netip.Addr // the zero value stands for all
}

func (l *Lab) startSniffer(o Options) error {
	if o.NoSniffer {
		return nil
	}
	s := &sniffer{ns: l.Internet, uplinks: map[int]*uplink{}, counts: map[flow]int{}, last: map[flow]int{}, ends: farewells{}}
	if err := l.Internet.Do(s.open); err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	l.sniffer = s
	stop := make(chan struct{})
	go s.run(stop)
	l.onClose(func() error {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		<-stop
		return unix.Close(s.fd)
	})
	return nil
}

// open takes what comes in, cut short, of all links of the namespace, so that links made later are covered; and of what goes
// out what ends a server's side of a TCP connection over IPv6.
func (s *sniffer) open() error {
	var err error
	s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: packetOffset + packetType},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 7, K: unix.PACKET_OUTGOING},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xf0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 5, K: 6 << 4},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 6},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.IPPROTO_TCP},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 40 + 13},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: flagFIN},
		{Code: unix.BPF_RET | unix.BPF_K, K: snapLength},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
	return errors.Join(
		unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, sniffBuffer),
		unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: ethAll}),
	)
}

// run keeps the socket's queue short.
func (s *sniffer) run(stop chan<- struct{}) {
	defer close(stop)
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, 50)
		s.mu.Lock()
		if s.closed || err != nil && !errors.Is(err, unix.EINTR) {
			s.mu.Unlock()
			return
		}
		s.drain()
		s.mu.Unlock()
	}
}

// drain counts everything queued by now.
func (s *sniffer) drain() {
	var b [snapLength]byte
	for {
		n, from, err := unix.Recvfrom(s.fd, b[:], unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			break
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok {
			continue
		}
		outgoing := link.Pkttype == unix.PACKET_OUTGOING
		last := s.ends.note(b[:n], outgoing)
		if u := s.uplinks[link.Ifindex]; u != nil && !outgoing {
			count(s.counts, u, b[:n])
			if last {
				count(s.last, u, b[:n])
			}
		}
	}
	if st, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.lost += int(st.Drops)
	}
}

// count counts a packet of an uplink, for its destination and for all.
func count(in map[flow]int, u *uplink, b []byte) {
	in[flow{u.slot, destination(b)}]++
	in[flow{slot: u.slot}]++
}

// destination of an IP packet; the zero value for anything else.
func destination(b []byte) netip.Addr {
	if len(b) >= 20 && b[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(b[16:20]))
	}
	if len(b) >= 40 && b[0]>>4 == 6 {
		return netip.AddrFrom16([16]byte(b[24:40]))
	}
	return netip.IPv4Unspecified()
}

// watch counts the packets of an uplink from now on.
func (s *sniffer) watch(u *uplink) error {
	if s == nil {
		return nil
	}
	link, err := s.ns.NL.LinkByName(u.peerName())
	if err != nil {
		return fmt.Errorf("watch packets: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uplinks[link.Attrs().Index] = u
	return nil
}

// UplinkPackets tells how many packets to dst, or to anywhere if dst is the zero value, the internet has received by an
// uplink since New or ResetPackets, counted up to the moment of the call. It fails when packets were lost uncounted
// and in a lab without sniffer.
func (l *Lab) UplinkPackets(name string, dst netip.Addr) (int, error) {
	l.mu.Lock()
	u := l.links[name]
	l.mu.Unlock()
	s := l.sniffer
	if u == nil || s == nil {
		return 0, fmt.Errorf("count packets of %s: no such uplink, or no sniffer", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	if s.lost > 0 {
		return 0, fmt.Errorf("count packets of %s: %d lost by the sniffer", name, s.lost)
	}
	return s.counts[flow{u.slot, dst.Unmap()}], nil
}

// ResetPackets sets all packet counts to 0.
func (l *Lab) ResetPackets() {
	if s := l.sniffer; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drain()
		clear(s.counts)
		clear(s.last)
		s.lost = 0
	}
}
