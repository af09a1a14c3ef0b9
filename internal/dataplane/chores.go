package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/pattern"
)

// teachAtOnce is how many addresses one message teaches; the programs read up to 64.
const teachAtOnce = 40

// What forget_name returns; enum forgotten in bpf/chores.h.
const (
	forgetNotThere = 0
	forgetDone     = 1
	forgetLocked   = 2
)

// choresFor loads the programs that commands run themselves, on the maps of this system. They are gone with it.
func (s *System) choresFor() (*objects, error) {
	if s.chores != nil {
		return s.chores, nil
	}
	o := &objects{maps: maps.Clone(s.maps), programs: map[string]*ebpf.Program{}}
	if err := o.add(loadChores); err != nil {
		o.Close()
		return nil, err
	}
	s.chores = o
	return o, nil
}

// chore runs one of them on what stands behind an Ethernet header.
func (s *System) chore(program string, data []byte) (int32, error) {
	o, err := s.choresFor()
	if err != nil {
		return 0, err
	}
	const ethernetHeader = 14 // CHORE_AT in bpf/chores.h
	ret, err := o.programs[program].Run(&ebpf.RunOptions{Data: append(make([]byte, ethernetHeader), data...)})
	if err != nil {
		return 0, fmt.Errorf("run the program %s: %w", program, err)
	}
	return int32(ret), nil
}

// Teach has the host learn that a name has these addresses, as if a service of the host had asked for them now. The
// TTL counts in whole seconds. Addresses that no answer is believed for (loopback, link-local, multicast) are left out,
// and with history off so is a name without a rule; neither is an error.
func (s *System) Teach(name pattern.Name, addrs []netip.Addr, ttl time.Duration) error {
	var worth []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap().WithZone(""); learnable(a) {
			worth = append(worth, a)
		}
	}
	for len(worth) > 0 {
		n := min(len(worth), teachAtOnce)
		message, err := answerFor(name, worth[:n], ttl)
		if err != nil {
			return fmt.Errorf("teach %s: %w", name, err)
		}
		worth = worth[n:]
		ret, err := s.chore(choresProgTeachHost, message)
		if err != nil {
			return err
		}
		if ret != 0 && s.state.History != 0 {
			return fmt.Errorf("teach %s: the kernel took nothing of the answer", name)
		}
	}
	return nil
}

// learnable is what a name can be learnt for.
func learnable(a netip.Addr) bool { return a.IsValid() && !addrIsLocal(a) }

// answerFor makes a DNS answer. It is put together here, since names from the wire have bytes that no text form is
// sure to keep.
func answerFor(name pattern.Name, addrs []netip.Addr, ttl time.Duration) ([]byte, error) {
	if name == "" || name == pattern.Root {
		return nil, errors.New("no name")
	}
	const typeA, typeAAAA, classIN = 1, 28, 1
	seconds := uint32(min(max(ttl/time.Second, 0), 1<<31-1))
	b := []byte{0, 0, 0x80, 0, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0}
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, typeA)
	b = binary.BigEndian.AppendUint16(b, classIN)
	for _, a := range addrs {
		kind := uint16(typeAAAA)
		if a.Is4() {
			kind = typeA
		}
		b = append(b, 0xc0, 12) // the name of the question
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, classIN)
		b = binary.BigEndian.AppendUint32(b, seconds)
		b = binary.BigEndian.AppendUint16(b, uint16(a.BitLen()/8))
		b = append(b, a.AsSlice()...)
	}
	return b, nil
}
