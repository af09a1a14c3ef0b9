package main

import (
	"errors"
	"fmt"
	"net/netip"
)

// measureBulk compares the throughput of one TCP connection, which started with the programs attached, while they are and
// while they are not: two connections differ by more than what is looked for.
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
	kinds := []bulkKind{
		{op: "stream-up", uplink: "wan0", addr: plain.Addr4, id: "bulk.up", what: "bulk TCP sent, not steered"},
		{op: "stream-up", uplink: "vpn0", addr: steered.Addr4, id: "bulk.up.steered", what: "bulk TCP sent, steered"},
		{op: "stream-down", uplink: "wan0", addr: plain.Addr4, id: "bulk.down", what: "bulk TCP received, not steered"},
		{op: "stream-down", uplink: "vpn0", addr: steered.Addr4, id: "bulk.down.steered", what: "bulk TCP received, steered"},
		{op: "stream-up", uplink: "wan0", addr: plain.Addr4, empty: true, id: "bulk.empty", what: "  sent, programs that do nothing"},
	}
	for range b.bulkConnections {
		for i := range kinds {
			if err := b.bulkConnection(s, &kinds[i]); err != nil {
				return fmt.Errorf("%s: %w", kinds[i].id, err)
			}
		}
	}
	for _, k := range kinds {
		r := row{ID: k.id, What: k.what, Note: fmt.Sprintf("%.1f against %.1f Gbit/s", median(k.with)*8e-9, median(k.none)*8e-9)}
		if !k.empty {
			r.Limit = atLeast(0.99)
		}
		b.report.add(paired(r, k.with, k.none))
	}
	return nil
}

// bulkKind is one direction over one uplink, with its rounds' figures in bytes a second.
type bulkKind struct {
	op, uplink string
	addr       netip.Addr
	id, what   string
	empty      bool // programs that do nothing in the place of ours
	with, none []float64
}

// bulkConnection opens a connection with our programs attached, measures its rounds, and closes it.
func (b *bench) bulkConnection(s *steeredWorld, k *bulkKind) error {
	if err := s.programs.attach(); err != nil {
		return err
	}
	if err := errors.Join(s.openStream(netip.AddrPortFrom(k.addr, streamPort)), s.programs.detach()); err != nil {
		return err
	}
	programs := s.programs
	if k.empty {
		programs = s.empty
	}
	for range b.bulkRounds {
		if err := b.bulkOnce(s, k, &k.none); err != nil {
			return err
		}
		if err := programs.attach(); err != nil {
			return err
		}
		if err := errors.Join(b.bulkOnce(s, k, &k.with), programs.detach()); err != nil {
			return err
		}
	}
	for _, c := range []*child{s.client, s.server} {
		if _, err := c.do(order{Op: "stream-close"}); err != nil {
			return err
		}
	}
	return nil
}

// openStream connects the client and gives it the server's end too.
func (w *world) openStream(to netip.AddrPort) error {
	if _, err := w.client.do(order{Op: "stream-open", Addr: to}); err != nil {
		return err
	}
	far, err := w.server.do(order{Op: "stream-accept"})
	if err != nil {
		return err
	}
	_, err = w.client.do(order{Op: "stream-take", PID: w.server.cmd.Process.Pid, Count: far.Count})
	return err
}

func (b *bench) bulkOnce(s *steeredWorld, k *bulkKind, speeds *[]float64) error {
	done, err := s.by(k.uplink, b.bulkBlocks, func() (outcome, error) {
		return s.client.do(order{Op: k.op, Count: b.bulkBlocks})
	})
	*speeds = append(*speeds, done.Value)
	return err
}
