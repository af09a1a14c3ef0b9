package main

import "errors"

// measureUDP times a small packet from one socket to another over loopback, where nothing else costs anything.
func (b *bench) measureUDP() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	kinds := []struct {
		op  string
		row row
	}{
		{"udp", row{ID: "udp.loopback", What: "UDP send+receive on loopback, connected", Limit: atMost(1.08)}},
		{"udp-sendto", row{ID: "udp.loopback.sendto", What: "UDP send+receive on loopback, sendto", Limit: atMost(1.08)}},
	}
	for _, k := range kinds {
		var with, none []float64
		for range b.udpRounds {
			base, err := s.client.do(order{Op: k.op, Count: b.udpBlocks})
			if err != nil {
				return err
			}
			if err := s.programs.attach(); err != nil {
				return err
			}
			done, err := s.client.do(order{Op: k.op, Count: b.udpBlocks})
			if err := errors.Join(err, s.programs.detach()); err != nil {
				return err
			}
			with, none = append(with, done.Value), append(none, base.Value)
		}
		b.report.add(paired(k.row, with, none))
	}
	return nil
}
