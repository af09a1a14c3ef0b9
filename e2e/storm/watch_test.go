package storm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	ethAll         = unix.ETH_P_ALL << 8 // in network order
	packetProtocol = 0xfffff000          // SKF_AD_OFF + SKF_AD_PROTOCOL
	snapLength     = 128                 // bytes of each packet looked at
	watchBuffer    = 64 << 20            // bytes

	flagRST, flagACK = 4, 16

	protoICMP, protoICMPv6             = unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6
	icmpUnreachable, icmpv6Unreachable = 3, 1
)

// ofRuled keeps packets from and to 192.88.99.0/24 and 2001:db8:77::/48, where the names with a rule are: see makeNames.
var ofRuled = []unix.SockFilter{
	load(packetProtocol),
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.ETH_P_IP, Jf: 6},
	load(12),
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xffffff00},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0xc0586300, Jt: 13},
	load(16),
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xffffff00},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0xc0586300, Jt: 10, Jf: 9},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.ETH_P_IPV6, Jf: 8},
	load(8),
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x20010db8, Jf: 2},
	load(12 - 2), // its low half is the third group
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x0db80077, Jt: 5},
	load(24),
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x20010db8, Jf: 2},
	load(28 - 2),
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x0db80077, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K},
	{Code: unix.BPF_RET | unix.BPF_K, K: snapLength},
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// watch sees the packets of names with a rule on one uplink of the client, both ways, as the client's own kernel hands
// them over.
type watch struct {
	uplink string
	fd     int
}

func newWatch(t *testing.T, h *harness.Host, uplink string) *watch {
	t.Helper()
	w := &watch{uplink: uplink}
	err := h.Client.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		prog := unix.SockFprog{Len: uint16(len(ofRuled)), Filter: &ofRuled[0]}
		return errors.Join(
			unix.SetsockoptSockFprog(w.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
			unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, watchBuffer),
			unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: ethAll, Ifindex: h.Uplink(uplink).Index}),
		)
	})
	if err != nil {
		t.Fatalf("watch %s: %v", uplink, err)
	}
	t.Cleanup(func() { _ = unix.Close(w.fd) })
	return w
}

// packet is what matters of one.
type packet struct {
	src, dst netip.Addr
	out      bool
	proto    byte
	flags    byte // of TCP
	data     int  // bytes that TCP carries
	icmp     byte // type
	text     string
}

// each reads everything that was seen so far.
func (w *watch) each(t *testing.T, f func(packet)) {
	t.Helper()
	var b [snapLength]byte
	for {
		n, from, err := unix.Recvfrom(w.fd, b[:], 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatalf("read packets of %s: %v", w.uplink, err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if p, known := read(b[:n]); ok && known {
			p.out = link.Pkttype == unix.PACKET_OUTGOING
			f(p)
		}
	}
	stats, err := unix.GetsockoptTpacketStats(w.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		t.Fatalf("packets of %s were lost: %+v, %v", w.uplink, stats, err)
	}
}

// read takes a packet apart; ARP and the like are none.
func read(b []byte) (p packet, ok bool) {
	var payload int // bytes behind the IP header, on the wire
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		p.src, p.dst, p.proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9]
		payload, b = int(binary.BigEndian.Uint16(b[2:]))-head, b[head:]
	case len(b) >= 40 && b[0]>>4 == 6:
		p.src, p.dst, p.proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[6]
		payload, b = int(binary.BigEndian.Uint16(b[4:])), b[40:]
	default:
		return p, false
	}
	what := fmt.Sprintf("protocol %d, %d bytes", p.proto, payload)
	switch {
	case p.proto == unix.IPPROTO_TCP && len(b) >= 20:
		p.flags, p.data = b[13], payload-int(b[12]>>4)*4
		what = fmt.Sprintf("TCP %d>%d %s seq %d, %d bytes", binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]),
			flagNames(p.flags), binary.BigEndian.Uint32(b[4:]), p.data)
	case p.proto == unix.IPPROTO_UDP && len(b) >= 8:
		what = fmt.Sprintf("UDP %d>%d %d bytes", binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), payload)
	case (p.proto == protoICMP || p.proto == protoICMPv6) && len(b) >= 2:
		p.icmp = b[0]
		what = fmt.Sprintf("ICMP type %d code %d", b[0], b[1])
	}
	p.text = fmt.Sprintf("%v > %v %s", p.src, p.dst, what)
	return p, true
}

func flagNames(flags byte) string {
	var b strings.Builder
	for i, name := range []string{"F", "S", "R", "P", "A", "U"} {
		if flags>>i&1 != 0 {
			b.WriteString(name)
		}
	}
	return b.String()
}

func addrPort(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, lab.EchoPort) }

// kind groups packets for a message.
func (p packet) kind() string {
	way := "in"
	if p.out {
		way = "out"
	}
	family := 4
	if p.dst.Is6() {
		family = 6
	}
	switch p.proto {
	case unix.IPPROTO_TCP:
		return fmt.Sprintf("%s TCP%d %s%s", way, family, flagNames(p.flags), map[bool]string{true: " with data"}[p.data > 0])
	case unix.IPPROTO_UDP:
		return fmt.Sprintf("%s UDP%d", way, family)
	}
	return fmt.Sprintf("%s protocol %d type %d", way, p.proto, p.icmp)
}
