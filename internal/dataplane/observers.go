package dataplane

import "strings"

// Observers say where names are learnt from.
type Observers struct {
	Sockets bool     // what the programs of this host ask
	Libc    bool     // what their C libraries tell them
	TC      bool     // what passes interfaces
	TCAll   bool     // of all interfaces there are at the time of `start`, not of the named ones
	Devices []Device // those interfaces
}

// As they are stored; enum observer in bpf/abi.h.
const (
	observeSockets = 1
	observeTC      = 2
	observeTCAll   = 4
	observeLibc    = 8
)

func (o Observers) bits() uint32 {
	var n uint32
	if o.Sockets {
		n |= observeSockets
	}
	if o.TC {
		n |= observeTC
	}
	if o.TCAll {
		n |= observeTCAll
	}
	if o.Libc {
		n |= observeLibc
	}
	return n
}

// Strings names the observers the way --observe takes them.
func (o Observers) Strings() []string {
	var names []string
	if o.Sockets {
		names = append(names, "sockets")
	}
	if o.Libc {
		names = append(names, "libc")
	}
	switch {
	case o.TCAll, o.TC && len(o.Devices) == 0:
		names = append(names, "tc")
	case o.TC:
		var devices []string
		for _, d := range o.Devices {
			devices = append(devices, d.Name)
		}
		names = append(names, "tc:"+strings.Join(devices, ","))
	}
	return names
}

// observers returns what runs, on those of the devices that are present.
func (s *System) observers(present []Device) (Observers, error) {
	bits := s.state.Observers
	o := Observers{Sockets: bits&observeSockets != 0, Libc: bits&observeLibc != 0, TC: bits&observeTC != 0, TCAll: bits&observeTCAll != 0}
	if o.TCAll {
		for _, d := range present {
			if !o.Sockets || !d.Loopback {
				o.Devices = append(o.Devices, d)
			}
		}
	}
	if o.TCAll || !o.TC {
		return o, nil
	}
	watched, err := s.watched()
	if err != nil {
		return o, err
	}
	for _, d := range present {
		if watched[d.Index] {
			o.Devices = append(o.Devices, d)
		}
	}
	return o, nil
}
