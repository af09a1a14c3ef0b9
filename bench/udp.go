package main

import "errors"

// measureUDP times a small packet from one socket to another over loopback, where nothing else costs anything.
func (b *bench) measureUDP() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	kinds := []udpKind{
		{op: "udp", row: row{ID: "udp.loopback", What: "UDP send+receive on loopback, connected", Limit: atMost(1.08)}},
		{op: "udp-sendto", row: row{ID: "udp.loopback.sendto", What: "UDP send+receive on loopback, sendto", Limit: atMost(1.08)}},
		{op: "udp", empty: true, row: row{ID: "udp.empty", What: "  connected, programs that do nothing"}},
		{op: "udp-sendto", empty: true, row: row{ID: "udp.empty.sendto", What: "  sendto, programs that do nothing"}},
	}
	for range b.udpRounds {
		for i := range kinds {
			if err := b.udpPair(s, &kinds[i]); err != nil {
				return err
			}
		}
	}
	for _, k := range kinds {
		b.report.add(paired(k.row, k.with, k.none))
	}
	return nil
}

// udpKind is one way to send, with its rounds' figures.
type udpKind struct {
	op         string
	empty      bool // programs that do nothing in the place of ours
	row        row
	with, none []float64
}

// udpPair measures once with and once without programs, in alternating order.
func (b *bench) udpPair(s *steeredWorld, k *udpKind) error {
	once := func(times *[]float64) error {
		done, err := s.client.do(order{Op: k.op, Count: b.udpBlocks})
		*times = append(*times, done.Value)
		return err
	}
	with := func() error {
		programs := s.programs
		if k.empty {
			programs = s.empty
		}
		if err := programs.attach(); err != nil {
			return err
		}
		return errors.Join(once(&k.with), programs.detach())
	}
	none := func() error { return once(&k.none) }
	if len(k.with)%2 == 1 {
		with, none = none, with
	}
	if err := none(); err != nil {
		return err
	}
	return with()
}
