package storm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	refusals = 50 // each time that the interface is away
	hosts    = 8  // with a rule
	names    = 48 // with a rule, of each family
	domain   = "ruled.example"
	theirs   = "vpn0"
	// patience is for one storm, of about 20 s.
	patience = 2 * time.Minute
	// lookEach is how often the storm is looked at: a look costs the machine something.
	lookEach = 20 * time.Millisecond
	// synRetries keeps a program without a timeout of its own from waiting for longer than 3 s.
	synRetries = "1"
)

// size is what a storm has to have, at least.
type size struct {
	creations int // of the interface
	arrivals  int // at servers, by the rule's interface
	changes   int // of other rules
}

// storm is one whole storm.
type storm struct {
	size
	*harness.Host
	t       *testing.T
	vpn     lab.Uplink
	ruled   map[netip.Addr]bool
	names   map[string][]string // by family
	stop    string              // the file that ends it
	runners []*runner
	watches []*watch // of the uplinks that are not the rule's
	arrived int      // by the rule's interface
	astray  int      // with another source address
	created int
	changed int
	fault   error // of the rule changes
}

// TestStorm: eight programs visit names with a rule, by TCP and UDP, connected and not, by both families, as root and
// as a user, while the rule's interface goes and comes back and other rules come and go.
func TestStorm(t *testing.T) {
	// With a routing rule for the interface's own addresses, and an interface that gets its name when it is complete,
	// there is not one packet of any kind.
	t.Run("with a rule for the source", func(t *testing.T) {
		s := newStorm(t, size{creations: 20, arrivals: 10000, changes: 101})
		s.addSourceRules()
		s.run(s.takeVPNAway, s.bringVPNBack)
		if s.astray > 0 {
			t.Errorf("%d arrivals from another address than %s's", s.astray, theirs)
		}
		s.judge(nothing)
	})
	// Without, the kernel's own last words follow the routing table, which knows nothing of sockets that are gone.
	t.Run("as it comes", func(t *testing.T) {
		s := newStorm(t, size{creations: 10, arrivals: 5000, changes: 20})
		s.run(s.deleteVPN, s.createVPN)
		s.judge(s.lastWord)
	})
}

func newStorm(t *testing.T, want size) *storm {
	h := harness.Started(t)
	s := &storm{
		size: want, Host: h, t: t, vpn: h.Uplink(theirs), ruled: map[netip.Addr]bool{}, names: map[string][]string{},
		stop: filepath.Join(h.Dir, "stop"),
	}
	s.check(h.AddUplink("wwan0", lab.UplinkOptions{}))
	s.check(h.Client.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_syn_retries", []byte(synRetries), 0)
	}))
	s.watches = []*watch{newWatch(t, h, "wan0"), newWatch(t, h, "wwan0")}
	h.Must("rule", "add", domain, theirs)
	s.makeNames()
	for _, p := range programs(t, h) {
		for _, mode := range p.modes {
			for _, family := range []string{"4", "6"} {
				for _, uid := range []uint32{0, kit.User} {
					s.runners = append(s.runners, &runner{program: p, mode: mode, family: family, uid: uid, names: s.names[family]})
				}
			}
		}
	}
	return s
}

func (s *storm) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// makeNames gives names with a rule addresses that nothing else has.
func (s *storm) makeNames() {
	var addrs []netip.Addr
	for i := range hosts {
		addrs = append(addrs, netip.AddrFrom4([4]byte{192, 88, 99, byte(i + 1)}),
			netip.MustParseAddr(fmt.Sprintf("2001:db8:77::%x", i+1)))
	}
	for _, a := range addrs {
		s.ruled[a] = true
		s.check(s.AddServerAddr(a))
	}
	for i := range names {
		for j, family := range []string{"4", "6"} {
			name := fmt.Sprintf("n%d-%s.%s", i, family, domain)
			s.DNS.Set(name, addrs[i*2%len(addrs)+j])
			s.names[family] = append(s.names[family], name)
		}
	}
}

// run has the programs visit until everything has happened.
func (s *storm) run(away, back func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	started := time.Now()
	visits := inBackground(func() { runAll(ctx, s.Host, s.runners, s.stop) })
	changing := inBackground(func() { s.changeRules(ctx) })
	err := s.recreate(ctx, away, back)
	if err := errors.Join(err, os.WriteFile(s.stop, nil, 0o644)); err != nil {
		s.t.Error(err)
		cancel()
	}
	<-changing
	<-visits
	s.count()
	s.t.Logf("%v: %d arrivals by %s, %d with another address, %d re-creations, %d rule changes",
		time.Since(started).Round(time.Millisecond), s.arrived, theirs, s.astray, s.created, s.changed)
}

func inBackground(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// recreate has the interface go and come back, each time when enough has happened with it and without.
func (s *storm) recreate(ctx context.Context, away, back func() error) error {
	for s.created < s.creations {
		if err := s.arrive(ctx, s.arrivals/s.creations); err != nil {
			return err
		}
		before := s.Counters()["no_interface"]
		if err := away(); err != nil {
			return err
		}
		err := s.until(ctx, "refusals", func() bool { return s.Counters()["no_interface"] >= before+refusals })
		if err != nil {
			return err
		}
		if err := back(); err != nil {
			return err
		}
		s.created++
	}
	return s.arrive(ctx, 1) // steering is back after the last time, too
}

func (s *storm) arrive(ctx context.Context, n int) error {
	s.count()
	seen := s.arrived
	return s.until(ctx, "arrivals", func() bool {
		s.count()
		return s.arrived >= seen+n
	})
}

// count takes what the servers have logged since it did so last.
func (s *storm) count() {
	hits := s.Hits()
	s.ResetHits()
	for _, hit := range hits {
		from := hit.Client.Addr()
		switch {
		case !s.ruled[hit.Server.Addr()]:
		case from == s.vpn.Addr4 || from == s.vpn.Addr6:
			s.arrived++
		default:
			s.astray++
		}
	}
}

func (s *storm) until(ctx context.Context, what string, cond func() bool) error {
	for !cond() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s, after %d re-creations", what, s.created)
		case <-time.After(lookEach):
		}
	}
	return nil
}

// changeRules adds and removes rules for other names until the storm is over.
func (s *storm) changeRules(ctx context.Context) {
	targets := []string{"wan0", "wwan0", "block", "direct", "vpn0,direct"}
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := os.Stat(s.stop); err == nil && s.changed >= s.changes {
			return
		}
		rule := []string{"rule", "add", fmt.Sprintf("other%d.example", i), targets[i%len(targets)]}
		if i%3 == 2 {
			rule = []string{"rule", "del", fmt.Sprintf("other%d.example", i-1)}
		}
		if r := s.Run(rule...); r.Code != 0 {
			s.fault = fmt.Errorf("%v: exit %d, %s", rule, r.Code, r.Stderr)
			return
		}
		s.changed++
	}
}
