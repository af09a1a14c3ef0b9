package lab

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Only a bare ACK of the server's FIN, after the client's own, may take another way.
func TestFarewellIsTheLastBareACK(t *testing.T) {
	client, server := netip.MustParseAddrPort("[2001:db8:102::2]:56838"), netip.MustParseAddrPort("[2001:db8:1::2]:7000")
	packet := func(from, to netip.AddrPort, flags byte, seq, ack uint32, data int) []byte {
		b := make([]byte, tcp6Headers)
		b[0], b[6], b[40+12], b[40+13] = 6<<4, unix.IPPROTO_TCP, 8<<4, flags
		binary.BigEndian.PutUint16(b[4:], uint16(32+data))
		copy(b[8:], from.Addr().AsSlice())
		copy(b[24:], to.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[40:], from.Port())
		binary.BigEndian.PutUint16(b[42:], to.Port())
		binary.BigEndian.PutUint32(b[44:], seq)
		binary.BigEndian.PutUint32(b[48:], ack)
		return b
	}
	const rst, psh = 4, 8
	mine := func(flags byte, ack uint32, data int) []byte { return packet(client, server, flags, 100, ack, data) }
	ended := func(f farewells) {
		f.note(mine(flagFIN|flagACK, 500, 0), false)
		f.note(packet(server, client, flagFIN|flagACK, 500, 101, 7), true)
	}
	for _, c := range []struct {
		name   string
		before func(farewells)
		packet []byte
		want   bool
	}{
		{"the last word", ended, mine(flagACK, 508, 0), true},
		{"an earlier ACK", ended, mine(flagACK, 507, 0), false},
		{"with data", ended, mine(flagACK|psh, 508, 3), false},
		{"an ACK with data", ended, mine(flagACK, 508, 3), false},
		{"a RST", ended, mine(rst, 508, 0), false},
		{"a RST with ACK", ended, mine(rst|flagACK, 508, 0), false},
		{"the FIN again", ended, mine(flagFIN|flagACK, 508, 0), false},
		{"of another connection", ended, packet(netip.AddrPortFrom(client.Addr(), 1), server, flagACK, 100, 508, 0), false},
		{"of a later connection", func(f farewells) { ended(f); f.note(mine(flagSYN, 0, 0), false) }, mine(flagACK, 508, 0), false},
		{"before the client's FIN", func(f farewells) { f.note(packet(server, client, flagFIN|flagACK, 500, 101, 7), true) }, mine(flagACK, 508, 0), false},
		{"before the server's FIN", func(f farewells) { f.note(mine(flagFIN|flagACK, 500, 0), false) }, mine(flagACK, 508, 0), false},
		{"cut short", ended, mine(flagACK, 508, 0)[:tcp6Headers-1], false},
	} {
		f := farewells{}
		c.before(f)
		if got := f.note(c.packet, false); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
