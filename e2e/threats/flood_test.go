package threats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	// spoofed is how many answers are forged; envSpoofed gives another number.
	spoofed    = 1_000_000
	envSpoofed = "DOMAIN_ROUTE_SPOOFED"
	waveSize   = 100_000 // of them for the same questions, which live for 10 s
	batchSize  = 256     // packets in one system call
	livePins   = "/sys/fs/bpf/domain-route/live/links"
	// bpfStatsRunTime is BPF_STATS_RUN_TIME of linux/bpf.h.
	bpfStatsRunTime = 0
)

// T1 at line rate: somebody who is off the path, but knows each socket's port and server and name and when it asks,
// sends a million answers while programs resolve. What is learnt is what was truly answered, and no more. Defence:
// question_key and take in bpf/questions.h. How long the program takes for a forged answer is logged.
func TestFloodOfSpoofedAnswers(t *testing.T) {
	n := spoofed
	if text := os.Getenv(envSpoofed); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		check(t, err)
	}
	h := harness.New(t, lab.Options{NoSniffer: true})
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "bank.example", "vpn0")
	s := newSpoofer(t, h)
	v := look(h)
	truths := resolveUntil(t, h)
	var answered []string
	cost, took := costOf(t, func() {
		for sent := 0; sent < n; sent += waveSize {
			answered = append(answered, s.wave(min(waveSize, n-sent))...)
		}
	})
	truth := append(truths(), answered...)
	t.Logf("%d forged answers in %v (%.0f a second), %d true ones meanwhile", n, took.Round(time.Millisecond),
		float64(n)/took.Seconds(), len(truth))
	t.Logf("dns_ingress: %d runs, %.0f ns each", cost.runs, cost.ns)
	moved := v.moved(ofAnswers...)
	if moved["answer_unasked"] < uint64(n)*95/100 || moved["learnt"] != uint64(len(truth)) || moved["learnt_no_rule"] > 0 {
		t.Errorf("counters: %v, with %d true answers", moved, len(truth))
	}
	slices.Sort(truth)
	if got := v.learntSince(); !slices.Equal(got, truth) {
		t.Errorf("learnt %d, want %d", len(got), len(truth))
	}
}

// wave has sockets ask, sends so many forged answers to them, and then the true ones, each with an address of its own. It
// returns these.
func (s *spoofer) wave(n int) (answered []string) {
	s.t.Helper()
	var waiting []outstanding
	for i := range 8 {
		waiting = append(waiting, s.ask(i%2 == 0))
	}
	s.spoof(waiting, n)
	before := s.h.Counters()["learnt"]
	for _, o := range waiting {
		a := netip.AddrFrom4([4]byte{100, 65, o.id[0], o.id[1]})
		s.in.udp(s.server, o.from, o.answer(address(a)))
		answered = append(answered, o.name+" "+a.String())
	}
	eventually(s.t, "the true answers are learnt", func() bool { return s.h.Counters()["learnt"] >= before+uint64(len(waiting)) })
	for _, o := range waiting {
		check(s.t, o.Close())
	}
	return answered
}

// resolveUntil has a process resolve one new name after another until the function that it returns is called, which
// lists what was answered. The names are no more than there is room for.
func resolveUntil(t *testing.T, h *harness.Host) func() []string {
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	var stop atomic.Bool
	var truth []string
	done := make(chan error)
	go func() {
		for i := 0; !stop.Load() && i < 1000; i++ {
			name, to := fmt.Sprintf("true%d.bank.example", i), netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
			h.DNS.Set(name, to)
			if ans, err := a.Resolve(lab.Query{Name: name}); err != nil || len(ans.Addrs) != 1 {
				done <- fmt.Errorf("resolve %s: %v, %w", name, ans.Addrs, err)
				return
			}
			truth = append(truth, name+" "+to.String())
		}
		done <- nil
	}()
	return func() []string {
		stop.Store(true)
		check(t, <-done)
		return truth
	}
}

// runCost is what the kernel's statistics say of a program.
type runCost struct {
	runs uint64
	ns   float64 // each
}

// costOf tells what dns_ingress took while f ran.
func costOf(t *testing.T, f func()) (runCost, time.Duration) {
	t.Helper()
	l, err := link.LoadPinnedLink(filepath.Join(livePins, "ingress"), nil)
	check(t, err)
	defer l.Close()
	info, err := l.Info()
	check(t, err)
	p, err := ebpf.NewProgramFromID(info.Program)
	check(t, err)
	defer p.Close()
	off, err := ebpf.EnableStats(bpfStatsRunTime)
	check(t, err)
	defer off.Close()
	before, err := p.Stats()
	check(t, err)
	started := time.Now()
	f()
	took := time.Since(started)
	after, err := p.Stats()
	check(t, err)
	c := runCost{runs: after.RunCount - before.RunCount}
	c.ns = float64(after.Runtime-before.Runtime) / float64(max(c.runs, 1))
	return c, took
}

// spoof sends n answers to the sockets in turn: half of them are right in all but the transaction id, the others in
// all but the name or the type.
func (s *spoofer) spoof(to []outstanding, n int) {
	s.t.Helper()
	var b burst
	for i := range n {
		o := to[i%len(to)]
		b.add(s.server, o.from, s.guess(o, i/len(to)))
		if b.n == batchSize {
			s.flush(&b)
		}
	}
	s.flush(&b)
}

// guess is the i-th forgery for a question.
func (s *spoofer) guess(o outstanding, i int) []byte {
	switch i % 4 {
	case 0:
		return o.with(func(q *asked) { q.question[1] = 'a' + byte(rand.IntN(19)) }) // it is a t
	case 1:
		return o.with(setType(uint16(2 + rand.IntN(1000))))
	}
	return o.with(func(q *asked) {
		q.id = be16(binary.BigEndian.Uint16(o.id) + 1 + uint16(rand.IntN(1<<16-1)))
	})
}

// burst is packets that leave by one system call.
type burst struct {
	n       int
	headers [batchSize]struct {
		unix.Msghdr
		sent uint32
		_    uint32
	}
	vectors   [batchSize]unix.Iovec
	addresses [batchSize]unix.RawSockaddrInet4
}

// add takes a datagram over IPv4 without a checksum, which IPv4 allows.
func (b *burst) add(from, to netip.AddrPort, payload []byte) {
	size := 28 + len(payload)
	packet := join([]byte{0x45, 0}, be16(uint16(size)), []byte{0, 0, 0, 0, 64, protoUDP, 0, 0}, from.Addr().AsSlice(), to.Addr().AsSlice(),
		be16(from.Port()), be16(to.Port()), be16(uint16(size-20)), be16(0), payload)
	b.vectors[b.n] = unix.Iovec{Base: &packet[0]}
	b.vectors[b.n].SetLen(size)
	b.addresses[b.n] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	m := &b.headers[b.n].Msghdr
	*m = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.addresses[b.n])), Namelen: unix.SizeofSockaddrInet4, Iov: &b.vectors[b.n]}
	m.SetIovlen(1)
	b.n++
}

// flush sends what has been added, all of it.
func (s *spoofer) flush(b *burst) {
	s.t.Helper()
	for sent := 0; sent < b.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.in.fd4), uintptr(unsafe.Pointer(&b.headers[sent])), uintptr(b.n-sent), 0, 0, 0)
		if errno != 0 && !errors.Is(errno, unix.EINTR) && !errors.Is(errno, unix.ENOBUFS) {
			s.t.Fatalf("inject packets: %v", errno)
		}
		if errno == 0 {
			sent += int(n)
		}
	}
	b.n = 0
}
