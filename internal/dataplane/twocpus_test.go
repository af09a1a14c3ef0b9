package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

const (
	crowd       = 6    // names for one address, more than there are places
	freshCount  = 3000 // addresses that two names are learnt for at once
	crowdTime   = 700 * time.Millisecond
	leastTTL    = 100     // seconds; name k has k more, which tells whose TTL a place has
	repetitions = 8       // of one address in an answer: so many writes at a stretch
	barrierSpin = 1 << 14 // looks at the other thread before the CPU is given away
)

// needCPUs returns two CPUs that this thread may run on.
func needCPUs(t *testing.T) (cpus [2]int) {
	t.Helper()
	var allowed unix.CPUSet
	check(t, unix.SchedGetaffinity(0, &allowed))
	switch {
	case runtime.NumCPU() >= 2 && allowed.Count() >= 2:
	case os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1":
		t.Fatal("needs two CPUs")
	default:
		t.Skip("needs two CPUs")
	}
	for i, cpu := 0, 0; i < len(cpus); cpu++ {
		if allowed.IsSet(cpu) {
			cpus[i] = cpu
			i++
		}
	}
	return cpus
}

// pair is two threads on two CPUs that feed answers to the tc programs.
type pair struct {
	*parser
	cpus   [2]int
	names  [crowd]pattern.Name
	hashes map[uint64]int // to the index of the name
}

// newPair puts a rule set into the maps in which name k has target k+1.
func newPair(t *testing.T) *pair {
	cpus := needCPUs(t)
	p := &pair{parser: newParser(t), cpus: cpus, hashes: map[uint64]int{}}
	var entries []ruleset.Entry
	for k := range p.names {
		var err error
		p.names[k], err = pattern.ParseName(fmt.Sprintf("name%d.test", k))
		check(t, err)
		hash := p.key.Hash(p.names[k])
		p.hashes[hash] = k
		entries = append(entries, ruleset.Entry{Hash: hash, Apex: ruleset.Ref(k + 1), Sub: ruleset.Ref(k + 1)})
	}
	patterns, err := (&System{}).newPatterns(entries)
	check(t, err)
	defer patterns.Close()
	check(t, p.maps[learnMapRules].Put(uint32(0), patterns))
	return p
}

// both runs f on both CPUs at once.
func (p *pair) both(f func(thread int) error) {
	p.t.Helper()
	var errs [2]error
	var wg sync.WaitGroup
	for i, cpu := range p.cpus {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread, which is pinned, ends
			var one unix.CPUSet
			one.Set(cpu)
			if errs[i] = unix.SchedSetaffinity(0, &one); errs[i] == nil {
				errs[i] = f(i)
			}
		})
	}
	wg.Wait()
	check(p.t, errors.Join(errs[:]...))
}

// lesson is a question and its answer as packets. Threads have ports of their own, so that neither takes the other's
// question.
type lesson struct{ query, answer []byte }

func (p *pair) lesson(thread, name int, addrs ...netip.Addr) lesson {
	p.t.Helper()
	q := new(dns.Msg).SetQuestion(p.names[name].String()+".", dns.TypeA)
	r := new(dns.Msg).SetReply(q)
	r.Compress = true
	for _, a := range addrs {
		r.Answer = append(r.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: uint32(leastTTL + name)},
			A:   a.AsSlice(),
		})
	}
	query, err := q.Pack()
	check(p.t, err)
	answer, err := r.Pack()
	check(p.t, err)
	l := lesson{paths[0].packet(query, true), paths[0].packet(answer, false)}
	const ports = 14 + 20 // behind the headers of Ethernet and IPv4
	binary.BigEndian.PutUint16(l.query[ports:], uint16(clientPort+thread))
	binary.BigEndian.PutUint16(l.answer[ports+2:], uint16(clientPort+thread))
	return l
}

func (p *pair) feed(program string, packet []byte) error {
	if _, err := p.programs[program].Run(&ebpf.RunOptions{Data: packet}); err != nil {
		return fmt.Errorf("run %s on %d bytes: %w", program, len(packet), err)
	}
	return nil
}

func (p *pair) ask(l lesson) error    { return p.feed(ethernetPrograms[0], l.query) }
func (p *pair) answer(l lesson) error { return p.feed(ethernetPrograms[1], l.answer) }

func (p *pair) lookup(a netip.Addr) (set learnLearntSet, err error) {
	if err = p.maps[learnMapHostRuled].Lookup(&learnScope{Addr: a.As16()}, &set); err != nil {
		err = fmt.Errorf("look up %v: %w", a, err)
	}
	return set, err
}

// stable reads a set that nobody wrote to meanwhile; false if somebody did. A system call copies a set word by word: only
// what lies between two looks at the same even sequence is of one piece.
func (p *pair) stable(a netip.Addr) (learnLearntSet, bool, error) {
	before, err1 := p.lookup(a)
	set, err2 := p.lookup(a)
	after, err3 := p.lookup(a)
	quiet := before.Sequence%2 == 0 && before.Sequence == set.Sequence && set.Sequence == after.Sequence
	return set, quiet, errors.Join(err1, err2, err3)
}

// whole tells what is wrong with a set: a place that has parts of several names, a name in two places, or an odd sequence.
func (p *pair) whole(set learnLearntSet) error {
	seen := map[uint64]bool{}
	if set.Sequence%2 != 0 {
		return fmt.Errorf("sequence %d is odd: nobody writes", set.Sequence)
	}
	for i, l := range set.Names {
		if l == (learnLearnt{}) {
			continue
		}
		k, ok := p.hashes[l.Name]
		switch {
		case !ok:
			return fmt.Errorf("place %d has a name that nobody asked for: %+v", i, l)
		case seen[l.Name]:
			return fmt.Errorf("name %d has two places: %+v", k, set.Names)
		case l.Match != 1<<32|uint64(k+1) || l.Rule != l.Name:
			return fmt.Errorf("place %d: name %d has the target of another one: %+v", i, k, l)
		case l.Ends-l.Seen != uint64(leastTTL+k)*uint64(time.Second):
			return fmt.Errorf("place %d: name %d has times of another one: %+v", i, k, l)
		}
		seen[l.Name] = true
	}
	return nil
}

// Two CPUs learn more names for one address than it has places, all the time: every place is one name's, whole.
func TestTwoCPUsOneAddress(t *testing.T) {
	p := newPair(t)
	shared := netip.MustParseAddr("192.0.2.77")
	var addrs []netip.Addr
	for range repetitions {
		addrs = append(addrs, shared)
	}
	var lessons [2][crowd]lesson
	for thread := range lessons {
		for k := range crowd {
			lessons[thread][k] = p.lesson(thread, k, addrs...)
		}
	}
	var answers, looks [2]int
	until := time.Now().Add(crowdTime)
	p.both(func(thread int) error {
		for n := 0; time.Now().Before(until); n++ {
			// Out of step, so that both seldom have the same name.
			l := lessons[thread][(n+thread*crowd/2)%crowd]
			if err := errors.Join(p.ask(l), p.answer(l)); err != nil {
				return err
			}
			answers[thread]++
			set, quiet, err := p.stable(shared)
			if err == nil && quiet {
				looks[thread]++
				err = p.whole(set)
			}
			if err != nil {
				return fmt.Errorf("after %d answers: %w", answers[thread], err)
			}
		}
		return nil
	})
	// A CPU may be taken from us while it writes, by another process or the machine's host: one write in ten thousand.
	total := uint64(answers[0] + answers[1])
	p.checkCounts(total, repetitions, total*repetitions/10_000)
	set, err := p.lookup(shared)
	check(t, err)
	if err := p.whole(set); err != nil {
		t.Error(err)
	}
	for i, l := range set.Names {
		if l.Name == 0 {
			t.Errorf("place %d is empty", i)
		}
	}
	t.Logf("%v answers with %d writes each, %v looks meanwhile", answers, repetitions, looks)
	if looks[0]+looks[1] == 0 {
		t.Error("no set was ever read meanwhile")
	}
}

// checkCounts compares what the programs counted: all was learnt, and no more lost than may be.
func (p *pair) checkCounts(answers, addresses, lost uint64) {
	p.t.Helper()
	c := p.counters()
	if c[learnCounterCOUNT_ANSWERS] != answers || c[learnCounterCOUNT_LEARNT] != answers*addresses {
		p.t.Errorf("%d answers and %d learnt, want %d and %d", c[learnCounterCOUNT_ANSWERS], c[learnCounterCOUNT_LEARNT],
			answers, answers*addresses)
	}
	if n := c[learnCounterCOUNT_LEARNT_LOST]; n > lost {
		p.t.Errorf("%d were lost", n)
	}
}

// barrier lets two threads go on in the same instant.
type barrier struct{ arrived atomic.Int64 }

func (b *barrier) wait(round int) {
	b.arrived.Add(1)
	for spins := 0; b.arrived.Load() < int64(2*round); spins++ {
		if spins%barrierSpin == barrierSpin-1 {
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
}

// Two CPUs learn a name each for an address that nobody knows, in the same instant: both are there.
func TestTwoCPUsFreshAddresses(t *testing.T) {
	p := newPair(t)
	var fresh []netip.Addr
	var lessons [2][]lesson
	for i := range freshCount {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		fresh = append(fresh, a)
		for thread := range lessons {
			lessons[thread] = append(lessons[thread], p.lesson(thread, thread, a))
		}
	}
	var b barrier
	p.both(func(thread int) error {
		var failed error // the other one waits for us all the same
		for i, l := range lessons[thread] {
			err := p.ask(l)
			b.wait(i + 1)
			failed = errors.Join(failed, err, p.answer(l))
		}
		return failed
	})
	p.checkCounts(2*freshCount, 1, 0)
	missing := 0
	for _, a := range fresh {
		set, err := p.lookup(a)
		check(t, err)
		if err := p.whole(set); err != nil {
			t.Errorf("%v: %v", a, err)
		}
		have := 0
		for _, l := range set.Names {
			if l.Name != 0 {
				have++
			}
		}
		if have != 2 {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d addresses lack one of their names", missing, freshCount)
	}
}
