package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAccepted(t *testing.T) {
	ports := portRange{32768, 60999}
	at := func(s string, v6, only bool) listener { return listener{netip.MustParseAddrPort(s), v6, only} }
	any4, any6, only6 := at("0.0.0.0:40000", false, false), at("[::]:40000", true, false), at("[::]:40000", true, true)
	for _, c := range []struct {
		local     string
		listeners []listener
		want      bool
	}{
		{"203.0.113.2:40000", nil, false},
		{"203.0.113.2:40000", []listener{any4}, true},
		{"203.0.113.2:40001", []listener{any4}, false},
		{"203.0.113.2:40000", []listener{any6}, true},
		{"203.0.113.2:40000", []listener{only6}, false},
		{"203.0.113.2:40000", []listener{only6, any4}, true},
		{"203.0.113.2:40000", []listener{at("203.0.113.2:40000", false, false)}, true},
		{"203.0.113.2:40000", []listener{at("203.0.113.2:40000", true, false)}, true}, // v4-mapped
		{"203.0.113.2:40000", []listener{at("127.0.0.1:40000", false, false)}, false},
		{"[2001:db8::2]:40000", []listener{any4}, false},
		{"[2001:db8::2]:40000", []listener{any6}, true},
		{"[2001:db8::2]:40000", []listener{only6}, true},
		{"[2001:db8::2]:40000", []listener{at("[2001:db8::2]:40000", true, true)}, true},
		{"[2001:db8::2]:40000", []listener{at("[::1]:40000", true, true)}, false},
		{"203.0.113.2:32767", nil, true},
		{"203.0.113.2:32768", nil, false},
		{"203.0.113.2:60999", nil, false},
		{"203.0.113.2:61000", nil, true},
		{"203.0.113.2:22", nil, true},
	} {
		if got := accepted(netip.MustParseAddrPort(c.local), c.listeners, ports); got != c.want {
			t.Errorf("%s with %v: %v, want %v", c.local, c.listeners, got, c.want)
		}
	}
}

func TestDestroyed(t *testing.T) {
	for _, c := range []struct {
		err  error
		done bool
		want error
	}{
		{nil, true, nil},
		{unix.ENOENT, false, nil}, // closed meanwhile
		{fmt.Errorf("%w: no socket", unix.ENOENT), false, nil},
		{unix.EOPNOTSUPP, false, ErrNoDestroy},
		{unix.EPERM, false, unix.EPERM},
	} {
		if done, err := destroyed(c.err); done != c.done || !errors.Is(err, c.want) {
			t.Errorf("%v: %v, %v", c.err, done, err)
		}
	}
}

// What the kernel says, in its own layout.
func TestParseSocket(t *testing.T) {
	message := func(family, state, timer uint8, attrs ...[]byte) []byte {
		b := make([]byte, sizeOfDiagMessage)
		b[0], b[1], b[2] = family, state, timer
		binary.BigEndian.PutUint16(b[4:], 40000)
		binary.BigEndian.PutUint16(b[6:], 443)
		copy(b[8:], []byte{203, 0, 113, 2})
		copy(b[24:], []byte{198, 51, 100, 1})
		if family == unix.AF_INET6 {
			copy(b[8:], netip.MustParseAddr("::ffff:203.0.113.2").AsSlice())
			copy(b[24:], netip.MustParseAddr("2001:db8::1").AsSlice())
		}
		binary.NativeEndian.PutUint32(b[40:], 7)
		binary.NativeEndian.PutUint32(b[64:], 1001)
		binary.NativeEndian.PutUint32(b[68:], 12345)
		for _, a := range attrs {
			b = append(b, a...)
		}
		return b
	}
	attr := func(kind uint16, value ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	mark := attr(attrMark, binary.NativeEndian.AppendUint32(nil, 9)...)
	cgroup := attr(attrCgroup, binary.NativeEndian.AppendUint64(nil, 1<<33)...)
	storage := attr(attrStorages, attr(attrStorage, append(attr(2, 1, 0, 0, 0), attr(attrStorageValue, 1, 2, 3, 4)...)...)...)
	s, l, err := parseSocket(message(unix.AF_INET, established, 0, mark, cgroup, storage), unix.IPPROTO_TCP)
	if err != nil || l != nil || s == nil || s.Local.String() != "203.0.113.2:40000" || s.Remote.String() != "198.51.100.1:443" ||
		s.UID != 1001 || s.Inode != 12345 || s.Ifindex != 7 || s.Mark != 9 || s.Cgroup != 1<<33 || string(s.Storage) != "\x01\x02\x03\x04" {
		t.Errorf("%+v, %v, %v", s, l, err)
	}
	s, _, err = parseSocket(message(unix.AF_INET6, synSent, 1), unix.IPPROTO_UDP)
	if err != nil || s == nil || s.Local.String() != "203.0.113.2:40000" || s.Remote.String() != "[2001:db8::1]:443" || s.Storage != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if s, l, err := parseSocket(message(unix.AF_INET, finWait2, timerTimeWait), unix.IPPROTO_TCP); s != nil || l != nil || err != nil {
		t.Errorf("time-wait: %+v, %+v, %v", s, l, err)
	}
	s, l, err = parseSocket(message(unix.AF_INET6, listening, 0, attr(attrV6Only, 1)), unix.IPPROTO_TCP)
	if s != nil || err != nil || l == nil || !l.only || !l.v6 {
		t.Errorf("listener: %+v, %+v, %v", s, l, err)
	}
	if _, _, err := parseSocket(make([]byte, 71), unix.IPPROTO_TCP); err == nil {
		t.Error("a short message was taken")
	}
}
