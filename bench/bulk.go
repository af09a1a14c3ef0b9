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
	kinds := []bulkKind{
		{op: "upload", uplink: "wan0", addr: plain.Addr4, id: "bulk.up", what: "bulk TCP sent, not steered"},
		{op: "upload", uplink: "vpn0", addr: steered.Addr4, id: "bulk.up.steered", what: "bulk TCP sent, steered"},
		{op: "download", uplink: "wan0", addr: plain.Addr4, id: "bulk.down", what: "bulk TCP received, not steered"},
		{op: "download", uplink: "vpn0", addr: steered.Addr4, id: "bulk.down.steered", what: "bulk TCP received, steered"},
	}
	for range b.bulkRounds {
		for i := range kinds {
			if err := b.bulkPair(s, &kinds[i]); err != nil {
				return err
			}
		}
	}
	for _, k := range kinds {
		b.report.add(
			paired(row{ID: k.id, What: k.what, Limit: atLeast(0.99),
				Note: fmt.Sprintf("%.1f against %.1f Gbit/s", median(k.with)*8e-9, median(k.none)*8e-9)}, k.with, k.none),
			paired(row{ID: k.id + ".cpu", What: "  bytes for a second of CPU, both ends",
				Note: fmt.Sprintf("%.1f against %.1f Gbit", median(k.withCPU)*8e-9, median(k.noneCPU)*8e-9)}, k.withCPU, k.noneCPU),
		)
	}
	return nil
}

// bulkKind is one direction over one uplink, with its rounds' figures: bytes a second, and for a second of CPU time.
type bulkKind struct {
	op, uplink string
	addr       netip.Addr
	id, what   string

	with, none, withCPU, noneCPU []float64
}

// bulkPair measures once with and once without programs, in alternating order.
func (b *bench) bulkPair(s *steeredWorld, k *bulkKind) error {
	without := func() error { return b.bulkOnce(s, k, "wan0", &k.none, &k.noneCPU) }
	attached := func() error {
		if err := s.programs.attach(); err != nil {
			return err
		}
		return errors.Join(b.bulkOnce(s, k, k.uplink, &k.with, &k.withCPU), s.programs.detach())
	}
	if len(k.with)%2 == 1 {
		without, attached = attached, without
	}
	if err := without(); err != nil {
		return err
	}
	return attached()
}

func (b *bench) bulkOnce(s *steeredWorld, k *bulkKind, uplink string, speed, cpu *[]float64) error {
	before, err := s.cpu()
	if err != nil {
		return err
	}
	done, err := s.by(uplink, bulkPackets, func() (outcome, error) {
		return s.client.do(order{Op: k.op, Addr: netip.AddrPortFrom(k.addr, bulkPort), Time: b.bulkTime})
	})
	if err != nil {
		return err
	}
	after, err := s.cpu()
	*speed = append(*speed, done.Value)
	*cpu = append(*cpu, float64(done.Count)/(after-before))
	return err
}

// cpu is the CPU time that client and server have used, in seconds.
func (w *world) cpu() (float64, error) {
	here, err := w.client.do(order{Op: "cpu"})
	if err != nil {
		return 0, err
	}
	there, err := w.server.do(order{Op: "cpu"})
	return here.Value + there.Value, err
}

// bulkPackets is the fewest that one measurement sends: a stalled one only begins.
const bulkPackets = 3
