package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// auditPort is what is connected to: HTTPS, as nearly all that the audit reads.
const auditPort = 443

// measureAudit compares short connections to port 443 (connect, ClientHello, close) and a long one, between the audit on
// and off. The name has no rule: hardly any has.
func (b *bench) measureAudit() error {
	w, err := b.newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	a, err := newAuditSwitch(w)
	if err != nil {
		return err
	}
	defer a.close()
	never, err := w.host("")
	if err != nil {
		return err
	}
	to, everywhere := netip.AddrPortFrom(never.Addr4, auditPort), netip.AddrPortFrom(netip.IPv6Unspecified(), auditPort)
	if _, err := w.server.do(order{Op: "listen", Addr: everywhere}); err != nil {
		return err
	}
	short := order{Op: "hello", Addr: to, Names: []string{plainName}, Count: b.connects}
	with, without, err := a.rounds(b.connectRounds, func() (outcome, error) {
		done, err := w.by("wan0", short.Count, func() (outcome, error) { return w.client.do(short) })
		if err == nil {
			_, err = w.server.do(order{Op: "drain"})
		}
		return done, err
	})
	if err != nil {
		return err
	}
	b.report.add(paired(row{ID: "audit.short", What: "TLS connection begun and closed, audit on against off"}, with, without))
	without, again, err := (&auditSwitch{}).rounds(b.connectRounds, func() (outcome, error) {
		done, err := w.client.do(short)
		if err == nil {
			_, err = w.server.do(order{Op: "drain"})
		}
		return done, err
	})
	if err != nil {
		return err
	}
	own, err := a.own(w, short)
	if err != nil {
		return err
	}
	b.report.add(summary(row{ID: "audit.own", What: "  what the audit itself takes of it", Unit: "ns"}, own))
	b.report.add(paired(row{ID: "audit.noise", What: "  the same, nothing against nothing"}, without, again))
	return b.auditBulk(w, a, to, everywhere)
}

// auditBulk sends as measureBulk does, on connections to port 443.
func (b *bench) auditBulk(w *world, a *auditSwitch, to, everywhere netip.AddrPort) error {
	if _, err := w.server.do(order{Op: "close-connects"}); err != nil {
		return err
	}
	if _, err := w.server.do(order{Op: "stream-listen", Addr: everywhere}); err != nil {
		return err
	}
	var with, without []float64
	for range b.bulkConnections {
		if err := w.openStream(to); err != nil {
			return err
		}
		x, y, err := a.rounds(b.bulkRounds, func() (outcome, error) { return w.client.do(order{Op: "stream-up", Count: b.bulkBlocks}) })
		if err != nil {
			return err
		}
		with, without = append(with, x...), append(without, y...)
		for _, c := range []*child{w.client, w.server} {
			if _, err := c.do(order{Op: "stream-close"}); err != nil {
				return err
			}
		}
	}
	b.report.add(paired(row{ID: "audit.bulk", What: "bulk TCP sent to port 443, audit on against off", Limit: &limit{Value: 0.99, AtLeast: true},
		Note: fmt.Sprintf("%.1f against %.1f Gbit/s", median(with)*8e-9, median(without)*8e-9)}, with, without))
	return nil
}

// auditSwitch attaches the audit's program and detaches it: without the audit it is not there.
type auditSwitch struct {
	cgroup  *os.File
	program *ebpf.Program
	on      link.Link
}

// newAuditSwitch starts domain-route with the audit and a rule, and takes its program over.
func newAuditSwitch(w *world) (*auditSwitch, error) {
	err := w.commands([]string{"start", "--cgroup", w.Cgroup, "--audit"}, []string{"rule", "add", "steered.test", "vpn0"})
	if err != nil {
		return nil, err
	}
	l, err := link.LoadPinnedLink(linkPins+"/audit", nil)
	if err != nil {
		return nil, fmt.Errorf("open the audit's link: %w", err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return nil, err
	}
	a := &auditSwitch{}
	if a.cgroup, err = os.Open(w.Cgroup); err != nil {
		return nil, err
	}
	if a.program, err = ebpf.NewProgramFromID(info.Program); err != nil {
		return nil, errors.Join(err, a.cgroup.Close())
	}
	return a, l.Detach()
}

func (a *auditSwitch) set(on bool) (err error) {
	switch {
	case a.program == nil: // that of the noise
	case on && a.on == nil:
		a.on, err = link.AttachRawLink(link.RawLinkOptions{Target: int(a.cgroup.Fd()), Program: a.program, Attach: ebpf.AttachCGroupInetEgress})
	case !on && a.on != nil:
		err = a.on.Close()
		a.on = nil
	}
	return err
}

func (a *auditSwitch) close() {
	_ = a.set(false)
	a.program.Close()
	a.cgroup.Close()
}

// rounds runs f with the audit and without in turn, and returns both kinds' values.
func (a *auditSwitch) rounds(n int, f func() (outcome, error)) (with, without []float64, err error) {
	for i := range 2 * n {
		on := (i/2+i)%2 == 0
		if err := a.set(on); err != nil {
			return nil, nil, err
		}
		done, err := f()
		if err != nil {
			return nil, nil, err
		}
		if on {
			with = append(with, done.Value)
		} else {
			without = append(without, done.Value)
		}
	}
	return with, without, nil
}

// auditOwnRounds is how many means make a median.
const auditOwnRounds = 15

// own is the time that the program takes, by the kernel's statistics, for all packets of one connection.
func (a *auditSwitch) own(w *world, o order) (all []float64, err error) {
	if err := a.set(true); err != nil {
		return nil, err
	}
	for range auditOwnRounds {
		r, err := during(a.program, func() error {
			_, err := w.client.do(o)
			if err == nil {
				_, err = w.server.do(order{Op: "drain"})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, r.ns*float64(r.count)/float64(o.Count+warmUp))
	}
	return all, nil
}
