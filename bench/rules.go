package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// probes is how many names are matched for one figure.
const probes = 1000

// probeBatch is how many runs one mean of the kernel's statistics is of.
const probeBatch = 50

// ruleBook is rule sets of several sizes, each with the same rules for the names that are probed.
type ruleBook struct {
	names []string
	addrs []netip.AddrPort
	files map[int]string // by number of rules
}

// measureRules compares matching in a small and a large rule set, and takes the price of the largest.
func (b *bench) measureRules() error {
	before := meminfo("MemAvailable")
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	book, err := s.writeRules(b.rules)
	if err != nil {
		return err
	}
	if err := s.programs.attach(); err != nil {
		return err
	}
	m := matchTimes{load: map[int][]loaded{}, match: map[int][]float64{}, answer: map[int][]float64{}, connect: map[int][]float64{}}
	for range b.matchRounds {
		for _, size := range b.rules {
			if err := s.matchOnce(book, size, &m); err != nil {
				return fmt.Errorf("%d rules: %w", size, err)
			}
		}
	}
	b.reportMatch(&m)
	if err := b.reportMemory(before); err != nil {
		return err
	}
	return b.reportRuleAdd(s, "rule.add.million", fmt.Sprintf("rule add to %d rules, whole process", b.rules[len(b.rules)-1]), 1)
}

// writeRules writes lists shaped like the public ones; the first `probes` rules are for the names that are probed.
func (s *steeredWorld) writeRules(sizes []int) (*ruleBook, error) {
	r := rand.New(rand.NewPCG(1, 2))
	tops := []string{"com", "com", "com", "com", "net", "org", "co.uk", "de", "fr", "xn--p1ai"}
	targets := []string{"vpn0", "vpn0,direct", "direct"}
	book := &ruleBook{files: map[int]string{}}
	var text bytes.Buffer
	written := 0
	for _, size := range sizes {
		for ; written < size; written++ {
			domain := fmt.Sprintf("%x-%d.%s", r.Uint32(), written, tops[r.IntN(len(tops))])
			target := targets[r.IntN(len(targets))]
			if written < probes {
				target = "direct" // so that one socket can be connected again and again, bound nowhere
				name, addr := "www."+domain, netip.AddrFrom4([4]byte{21, 0, byte(written >> 8), byte(written)})
				book.names = append(book.names, name)
				book.addrs = append(book.addrs, netip.AddrPortFrom(addr, connectPort))
				s.DNS.Set(name, addr)
			}
			fmt.Fprintln(&text, domain, target)
		}
		book.files[size] = filepath.Join(s.Dir, fmt.Sprintf("rules-%d", size))
		if err := os.WriteFile(book.files[size], text.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("write a rule list: %w", err)
		}
	}
	return book, nil
}

// matchTimes are figures by number of rules, one a round, in ns.
type matchTimes struct {
	load    map[int][]loaded
	match   map[int][]float64 // a name matched again at connect, after the rule set was replaced
	connect map[int][]float64 // such a connect as a whole
	answer  map[int][]float64 // an answer whose name is matched
}

// matchOnce puts a rule set in force, so that what is learnt has to be matched again at the next connect. The connects
// after that need not match: the difference is the matching.
func (s *steeredWorld) matchOnce(book *ruleBook, size int, m *matchTimes) error {
	did, err := s.load(book.files[size])
	if err != nil {
		return err
	}
	m.load[size] = append(m.load[size], did)
	ingress, err := s.programs.at("ingress")
	if err != nil {
		return err
	}
	connect, err := s.programs.at("connect4")
	if err != nil {
		return err
	}
	if len(m.answer) == 0 { // the first time ever: now they are learnt
		if err := s.askAll(book); err != nil {
			return err
		}
		if _, err := s.load(book.files[size]); err != nil {
			return err
		}
	}
	stale, err := s.reconnect(connect, book)
	if err != nil {
		return err
	}
	fresh, err := s.reconnect(connect, book)
	if err != nil {
		return err
	}
	answer, err := s.answers(ingress, book)
	if err != nil {
		return err
	}
	m.match[size] = append(m.match[size], stale-fresh)
	m.connect[size] = append(m.connect[size], stale)
	m.answer[size] = append(m.answer[size], answer)
	return nil
}

func (s *steeredWorld) askAll(book *ruleBook) error {
	_, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: book.names})
	return err
}

// answers is the median of the batches' means of an answer to a name known already, in ns.
func (s *steeredWorld) answers(ingress *ebpf.Program, book *ruleBook) (float64, error) {
	var times []float64
	for names := range slices.Chunk(book.names, probeBatch) {
		ns, err := exactly(len(names), ingress, func() error {
			_, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: names})
			return err
		})
		if err != nil {
			return 0, err
		}
		times = append(times, ns)
	}
	return median(times), nil
}

// reconnect is the median of the batches' means of connect4, in ns: what interrupts it spoils one batch.
func (s *steeredWorld) reconnect(connect *ebpf.Program, book *ruleBook) (float64, error) {
	var times []float64
	for addrs := range slices.Chunk(book.addrs, probeBatch) {
		ns, err := exactly(len(addrs), connect, func() error {
			_, err := s.client.do(order{Op: "reconnect", Addrs: addrs})
			return err
		})
		if err != nil {
			return 0, err
		}
		times = append(times, ns)
	}
	return median(times), nil
}

// load loads a rule list by a process of its own, as a command would.
func (s *steeredWorld) load(file string) (loaded, error) {
	var did loaded
	var errs bytes.Buffer
	cmd := s.HostCommand(context.Background(), "/proc/self/exe", file)
	cmd.Env = append(os.Environ(), childEnv+"=load")
	cmd.Stderr = &errs
	began := time.Now()
	out, err := cmd.Output()
	did.Whole = time.Since(began).Seconds()
	if cmd.ProcessState != nil {
		did.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	if err == nil {
		err = json.Unmarshal(out, &did)
	}
	if err != nil {
		return did, errors.Join(fmt.Errorf("load %s: %w", file, err), errors.New(errs.String()))
	}
	return did, nil
}
