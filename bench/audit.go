package main

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// auditPort is what is connected to: HTTPS, as nearly all that the audit reads.
const auditPort = 443

// measureAudit compares short connections to port 443 (connect, ClientHello, close) and a long one, with the programs attached,
// between the audit on and off. The name has no rule: hardly any has.
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
	without, again, err := (&auditSwitch{word: new(uint64)}).rounds(b.connectRounds, func() (outcome, error) {
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

// auditSwitch is the word of the kernel's state that the programs look at.
type auditSwitch struct {
	page []byte
	word *uint64
}

// newAuditSwitch starts domain-route without the audit and with it, and looks at which word that changes.
func newAuditSwitch(w *world) (*auditSwitch, error) {
	var states [2][]byte
	var m *ebpf.Map
	for i, audit := range []string{"--audit=no", "--audit=yes"} {
		if err := w.commands([]string{"start", "--cgroup", w.Cgroup, audit}); err != nil {
			return nil, err
		}
		var err error
		if m == nil {
			if m, err = ebpf.LoadPinnedMap("/sys/fs/bpf/domain-route/live/maps/states", nil); err != nil {
				return nil, fmt.Errorf("open the state: %w", err)
			}
			defer m.Close()
		}
		if states[i], err = m.LookupBytes(uint32(0)); err != nil {
			return nil, fmt.Errorf("read the state: %w", err)
		}
	}
	for at := 0; at < len(states[0]); at += 8 {
		if *word(states[0], at) == 0 && *word(states[1], at) == 1 {
			page, err := unix.Mmap(m.FD(), 0, int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				return nil, fmt.Errorf("map the state: %w", err)
			}
			return &auditSwitch{page, word(page, at)}, w.commands([]string{"rule", "add", "steered.test", "vpn0"})
		}
	}
	return nil, errors.New("no word of the state tells whether the audit is on")
}

// auditOwnRounds is how many differences make a median.
const auditOwnRounds = 15

// own is the time that the program at egress takes more with the audit on than with its word off, for each connection, by the kernel's statistics.
func (a *auditSwitch) own(w *world, o order) (all []float64, err error) {
	l, err := link.LoadPinnedLink(linkPins+"/audit", nil)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return nil, err
	}
	egress, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return nil, err
	}
	defer egress.Close()
	var sums [2]float64 // off, on
	for range auditOwnRounds {
		for on := range sums {
			atomic.StoreUint64(a.word, uint64(on))
			r, err := during(egress, func() error {
				_, err := w.client.do(o)
				if err == nil {
					_, err = w.server.do(order{Op: "drain"})
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			sums[on] = r.ns * float64(r.count) / float64(o.Count+warmUp)
		}
		all = append(all, sums[1]-sums[0])
	}
	return all, nil
}

func word(b []byte, at int) *uint64 { return (*uint64)(unsafe.Pointer(&b[at])) }

func (a *auditSwitch) close() { _ = unix.Munmap(a.page) }

// rounds runs f with the audit on and off in turn, and returns both kinds' values.
func (a *auditSwitch) rounds(n int, f func() (outcome, error)) (with, without []float64, err error) {
	for i := range 2 * n {
		on := (i/2+i)%2 == 0
		atomic.StoreUint64(a.word, map[bool]uint64{true: 1, false: 0}[on])
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
