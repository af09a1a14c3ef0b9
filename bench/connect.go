package main

import (
	"errors"
	"fmt"
	"net/netip"
)

// Names used: one with a rule, one without.
const (
	steeredName = "www.steered.test"
	plainName   = "www.plain.test"
)

// prober connects to one address, from one child.
type prober struct {
	id     string
	child  *child
	addr   netip.AddrPort
	uplink string    // where it should leave with the programs attached
	hooks  []string  // attached alone; none: all
	empty  bool      // programs that do nothing in their place
	with   []float64 // a round's median each, programs attached
	none   []float64 // no program attached
}

func (p *prober) measure(w *world, uplink string, n int) (float64, error) {
	done, err := w.by(uplink, n, func() (outcome, error) {
		return p.child.do(order{Op: "connect", Addr: p.addr, Count: n})
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.id, err)
	}
	taken, err := w.server.do(order{Op: "drain"})
	if err == nil && taken.Count > done.Count {
		err = fmt.Errorf("the server took %d connections of %d", taken.Count, done.Count)
	}
	return done.Value, err
}

// steeredWorld is a world with domain-route started, a rule, and its programs in our hands.
type steeredWorld struct {
	*world
	programs *programs
	empty    *programs // at the same hooks, doing nothing
}

func (b *bench) newSteeredWorld() (*steeredWorld, error) {
	w, err := b.newWorld()
	if err != nil {
		return nil, err
	}
	s := &steeredWorld{world: w}
	err = w.commands([]string{"start", "--cgroup", w.Cgroup}, []string{"rule", "add", "steered.test", "vpn0"})
	if err == nil {
		s.programs, err = takeOver(w.Cgroup)
	}
	if err == nil {
		s.empty, err = s.programs.emptied()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *steeredWorld) close() error {
	var errs []error
	for _, p := range []*programs{s.programs, s.empty} {
		if p != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(append(errs, s.world.close())...)
}

// learn has the client ask for names with the programs attached.
func (s *steeredWorld) learn(names ...string) error {
	if err := s.programs.attach(); err != nil {
		return err
	}
	_, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: names})
	return errors.Join(err, s.programs.detach())
}

// probers makes what is connected to: an address never seen, one learnt under a name without a rule, and the steered
// one, by the process that resolved it and by an ordinary user who did not. The rest tells
// where the time goes.
func (s *steeredWorld) probers() ([]*prober, error) {
	never, err := s.host("")
	if err != nil {
		return nil, err
	}
	plain, err := s.host(plainName)
	if err != nil {
		return nil, err
	}
	steered, err := s.host(steeredName)
	if err != nil {
		return nil, err
	}
	if err := s.learn(plainName, steeredName); err != nil {
		return nil, err
	}
	user, err := s.userChild()
	if err != nil {
		return nil, err
	}
	at := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, connectPort) }
	return []*prober{
		{id: "never", child: s.client, addr: at(never.Addr4), uplink: "wan0"},
		{id: "plain", child: s.client, addr: at(plain.Addr4), uplink: "wan0"},
		{id: "never6", child: s.client, addr: at(never.Addr6), uplink: "wan0"},
		{id: "steered", child: s.client, addr: at(steered.Addr4), uplink: "vpn0"},
		{id: "user", child: user, addr: at(steered.Addr4), uplink: "vpn0"},
		{id: "empty", child: s.client, addr: at(never.Addr4), uplink: "wan0", empty: true},
		{id: "connect4", child: s.client, addr: at(never.Addr4), uplink: "wan0", hooks: []string{"connect4"}},
		{id: "egress", child: s.client, addr: at(never.Addr4), uplink: "wan0", hooks: []string{"egress"}},
		{id: "ingress", child: s.client, addr: at(never.Addr4), uplink: "wan0", hooks: []string{"ingress"}},
	}, nil
}

// measureConnect alternates rounds without any program and with all of them attached.
func (b *bench) measureConnect() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	probers, err := s.probers()
	if err != nil {
		return err
	}
	noise := *probers[0]
	for range b.connectRounds {
		for _, p := range probers {
			if err := b.pair(s, p); err != nil {
				return err
			}
		}
		again, err := noise.measure(s.world, "wan0", b.connects)
		if err != nil {
			return err
		}
		noise.with = append(noise.with, again)
		again, err = noise.measure(s.world, "wan0", b.connects)
		if err != nil {
			return err
		}
		noise.none = append(noise.none, again)
	}
	b.reportConnect(probers, &noise)
	return b.reportConnect4(s, probers)
}

// connect4Rounds is how many means of the kernel's statistics make a median.
const connect4Rounds = 15

// reportConnect4 tells what connect4 itself takes, by the kernel's statistics.
func (b *bench) reportConnect4(s *steeredWorld, probers []*prober) error {
	program, err := s.programs.at("connect4")
	if err != nil {
		return err
	}
	if err := s.programs.attach(); err != nil {
		return err
	}
	what := map[string]string{
		"never": "address never seen", "steered": "steered", "user": "steered by the host's evidence",
	}
	for _, p := range probers {
		if what[p.id] == "" {
			continue
		}
		var times []float64
		for range connect4Rounds {
			ns, err := exactly(b.connects+warmUp, program, func() error {
				_, err := p.measure(s.world, p.uplink, b.connects)
				return err
			})
			if err != nil {
				return err
			}
			times = append(times, ns)
		}
		b.report.add(summary(row{ID: "connect4." + p.id, What: "  connect4 itself, " + what[p.id], Unit: "ns"}, times))
	}
	return s.programs.detach()
}

// pair measures one prober with and without programs, in alternating order, leaving them detached.
func (b *bench) pair(s *steeredWorld, p *prober) error {
	with := func() error {
		programs := s.programs
		if p.empty {
			programs = s.empty
		}
		if err := programs.attach(p.hooks...); err != nil {
			return err
		}
		ns, err := p.measure(s.world, p.uplink, b.connects)
		p.with = append(p.with, ns)
		return errors.Join(err, programs.detach())
	}
	none := func() error {
		ns, err := p.measure(s.world, "wan0", b.connects)
		p.none = append(p.none, ns)
		return err
	}
	if len(p.with)%2 == 1 {
		with, none = none, with
	}
	if err := none(); err != nil {
		return err
	}
	return with()
}

func (b *bench) reportConnect(probers []*prober, noise *prober) {
	rows := map[string]row{
		"never":    {ID: "connect.unruled.never", What: "TCP connect, address never seen", Limit: atMost(1.02)},
		"plain":    {ID: "connect.unruled.learnt", What: "TCP connect, name learnt, no rule", Limit: atMost(1.02)},
		"never6":   {ID: "connect.unruled.never6", What: "TCP connect, address never seen, IPv6", Limit: atMost(1.02)},
		"steered":  {ID: "connect.steered", What: "TCP connect steered, against none"},
		"user":     {ID: "connect.steered.user", What: "TCP connect steered, by the host's evidence, against none"},
		"empty":    {ID: "connect.empty", What: "TCP connect, programs that do nothing, against none"},
		"connect4": {ID: "connect.part.connect4", What: "  connect4 attached alone, address never seen"},
		"egress":   {ID: "connect.part.egress", What: "  egress attached alone: 2 packets"},
		"ingress":  {ID: "connect.part.ingress", What: "  ingress attached alone: 1 packet"},
	}
	for _, p := range probers {
		b.report.add(paired(rows[p.id], p.with, p.none))
	}
	b.report.add(paired(row{ID: "connect.noise", What: "TCP connect, no program against no program"}, noise.with, noise.none))
}
