package dataplane

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/cilium/ebpf"
)

// path is how a message travels.
type path struct {
	programs       [2]string // what sees the question leave, and the answer come in
	client, server netip.Addr
	ethernet, tcp  bool
}

var (
	client4, server4 = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.53")
	client6, server6 = netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("2001:db8::53")

	paths = []path{
		{ethernetPrograms, client4, server4, true, false},
		{ethernetPrograms, client6, server6, true, false},
		{ipPrograms, client4, server4, false, false},
		{ipPrograms, client6, server6, false, true},
		{ethernetPrograms, client4, server4, true, true},
	}
)

var (
	ethernetPrograms = [2]string{learnProgTcEthernetOut, learnProgTcEthernetIn}
	ipPrograms       = [2]string{learnProgTcIpOut, learnProgTcIpIn}
)

const (
	clientPort = 40000
	dnsPort    = 53
)

// packet puts a payload on its way, to the server or from it. A query over TCP gets its length. Checksums are left out:
// nothing looks at them here.
func (p path) packet(payload []byte, query bool) []byte {
	from, to, sport, dport := p.server, p.client, uint16(dnsPort), uint16(clientPort)
	if query {
		from, to, sport, dport = p.client, p.server, clientPort, dnsPort
		if p.tcp {
			payload = append(binary.BigEndian.AppendUint16(nil, uint16(len(payload))), payload...)
		}
	}
	segment := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sport), dport)
	proto := byte(17)
	if p.tcp {
		proto = 6
		segment = append(segment, 0, 0, 0, 1, 0, 0, 0, 1, 8<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0)
		segment = append(segment, make([]byte, 12)...) // options
	} else {
		segment = binary.BigEndian.AppendUint16(segment, uint16(8+len(payload)))
		segment = append(segment, 0, 0)
	}
	segment = append(segment, payload...)
	var b []byte
	if p.ethernet {
		b = append(make([]byte, 12), 0x08, 0x00)
		if from.Is6() {
			b[12], b[13] = 0x86, 0xdd
		}
	}
	return append(append(b, ipHeader(from, to, proto, len(segment))...), segment...)
}

func ipHeader(from, to netip.Addr, proto byte, length int) []byte {
	var b []byte
	if from.Is4() {
		b = binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+length))
		b = append(b, 0, 0, 0x40, 0, 64, proto, 0, 0)
	} else {
		b = binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(length))
		b = append(b, proto, 64)
	}
	return append(append(b, from.AsSlice()...), to.AsSlice()...)
}

// segment is a message with its length before it, as it starts a TCP segment: mostly all of it, sometimes less, with more
// behind it, or with another length.
func (g *generator) segment(msg []byte) []byte {
	length := len(msg)
	switch g.IntN(10) {
	case 0:
		length = pick(g, 0, 1, 11, 12, 13, length-1, length+1, 0xffff)
	case 1:
		msg = append(msg, g.bytes(g.IntN(40))...)
	}
	b := append(binary.BigEndian.AppendUint16(nil, uint16(length)), msg...)
	if g.chance(40) {
		b = b[:g.IntN(len(b)+1)]
	}
	return b
}

func isEnd(err error) bool { return errors.Is(err, ebpf.ErrKeyNotExist) }
