package main

import (
	"errors"
	"fmt"
	"net/netip"
)

// measureBulk compares the throughput of one TCP connection that starts with the programs attached.
func (b *bench) measureBulk() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	plain, err := s.host(plainName)
	if err != nil {
		return err
	}
	steered, err := s.host(steeredName)
	if err != nil {
		return err
	}
	if err := s.learn(plainName, steeredName); err != nil {
		return err
	}
	kinds := []struct {
		op, uplink string
		addr       netip.Addr
		row        row
	}{
		{"upload", "wan0", plain.Addr4, row{ID: "bulk.up", What: "bulk TCP sent, not steered"}},
		{"upload", "vpn0", steered.Addr4, row{ID: "bulk.up.steered", What: "bulk TCP sent, steered"}},
		{"download", "wan0", plain.Addr4, row{ID: "bulk.down", What: "bulk TCP received, not steered"}},
		{"download", "vpn0", steered.Addr4, row{ID: "bulk.down.steered", What: "bulk TCP received, steered"}},
	}
	for _, k := range kinds {
		var with, none []float64
		for i := range b.bulkRounds {
			base, got, err := b.bulkPair(s, order{Op: k.op, Addr: netip.AddrPortFrom(k.addr, bulkPort), Time: b.bulkTime}, k.uplink, i%2 == 1)
			if err != nil {
				return err
			}
			with, none = append(with, got), append(none, base)
		}
		k.row.Limit = atLeast(0.99)
		k.row.Note = fmt.Sprintf("%.1f against %.1f Gbit/s", median(with)*8e-9, median(none)*8e-9)
		b.report.add(paired(k.row, with, none))
	}
	return nil
}

// bulkPair measures once without and once with programs; swapped: the other way round.
func (b *bench) bulkPair(s *steeredWorld, o order, uplink string, swapped bool) (none, with float64, err error) {
	without := func() error {
		done, err := s.by("wan0", bulkPackets, func() (outcome, error) { return s.client.do(o) })
		none = done.Value
		return err
	}
	attached := func() error {
		if err := s.programs.attach(); err != nil {
			return err
		}
		done, err := s.by(uplink, bulkPackets, func() (outcome, error) { return s.client.do(o) })
		with = done.Value
		return errors.Join(err, s.programs.detach())
	}
	if swapped {
		without, attached = attached, without
	}
	if err := without(); err != nil {
		return 0, 0, err
	}
	err = attached()
	return none, with, err
}

// bulkPackets is the fewest that one measurement sends: a stalled one only begins.
const bulkPackets = 3
