package dataplane

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/pattern"
)

const (
	// parserMessages is how many messages TestParser runs unless this variable says otherwise.
	parserMessages    = 20000
	envParserMessages = "DOMAIN_ROUTE_PARSER_MESSAGES"
	// envParserSeed is for another lot of messages than the usual one.
	envParserSeed = "DOMAIN_ROUTE_PARSER_SEED"
)

// parser is the tc observer's programs, loaded but attached to nothing, and fed with packets.
type parser struct {
	*objects
	t       *testing.T
	key     pattern.HashKey
	offsets map[string]uint32 // in struct scratch
	numbers []uint32          // of the counters
	last    counts
	cpu     int
}

func newParser(t *testing.T) *parser {
	t.Helper()
	needRoot(t)
	objs, err := load(nil, Observers{TC: true}, false)
	check(t, err)
	t.Cleanup(objs.Close)
	p := &parser{objects: objs, t: t, key: pattern.HashKey([]byte("0123456789abcdef")), offsets: scratchOffsets(t)}
	st := learnState{Layout: layout, Enabled: 1, Active: 1 << 8, History: 1}
	st.Key[0], st.Key[1] = binary.LittleEndian.Uint64(p.key[:8]), binary.LittleEndian.Uint64(p.key[8:])
	check(t, objs.maps[learnMapStates].Put(uint32(0), &st))
	for i := range uint32(learnCounterCOUNTERS) {
		p.numbers = append(p.numbers, i)
	}
	p.pin()
	p.last = p.counters()
	return p
}

// pin keeps this thread on one CPU: what programs leave per CPU is then in one place.
func (p *parser) pin() {
	p.t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	check(p.t, unix.SchedGetaffinity(0, &before))
	for !before.IsSet(p.cpu) {
		p.cpu++
	}
	one.Set(p.cpu)
	check(p.t, unix.SchedSetaffinity(0, &one))
	p.t.Cleanup(func() {
		check(p.t, unix.SchedSetaffinity(0, &before))
		runtime.UnlockOSThread()
	})
}

// scratchOffsets reads the layout of struct scratch from the programs' own BTF.
func scratchOffsets(t *testing.T) map[string]uint32 {
	t.Helper()
	spec, err := loadLearn()
	check(t, err)
	offsets := map[string]uint32{}
	for _, name := range []string{"scratch", "name", "match"} {
		var s *btf.Struct
		check(t, spec.Types.TypeByName(name, &s))
		for _, m := range s.Members {
			offsets[name+"."+m.Name] = m.Offset.Bytes()
		}
	}
	return offsets
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// counters are all that are not 0.
func (p *parser) counters() counts {
	p.t.Helper()
	cpus := ebpf.MustPossibleCPU()
	values := make([]uint64, len(p.numbers)*cpus)
	keys := make([]uint32, len(p.numbers))
	var cursor ebpf.MapBatchCursor
	_, err := p.maps[learnMapCounters].BatchLookup(&cursor, keys, values, nil)
	if err != nil && !isEnd(err) {
		p.t.Fatal(err)
	}
	c := counts{}
	for i, n := range values {
		if n > 0 {
			c[learnCounter(keys[i/cpus])] += n
		}
	}
	return c
}

// moved tells which counters changed since it was called last.
func (p *parser) moved() counts {
	p.t.Helper()
	now := p.counters()
	d := counts{}
	for c, n := range now {
		if n != p.last[c] {
			d[c] = n - p.last[c]
		}
	}
	p.last = now
	return d
}

// scratch is what the parser left of the last answer it believed.
type scratch struct {
	name  []byte
	hash  uint64
	addrs []netip.Addr
	ttl   uint32
}

func (p *parser) scratch() scratch {
	p.t.Helper()
	var all [][]byte
	check(p.t, p.maps[learnMapScratches].Lookup(uint32(0), &all))
	b := all[p.cpu]
	u32 := func(at string) uint32 { return binary.NativeEndian.Uint32(b[p.offsets[at]:]) }
	name := b[p.offsets["scratch.name"]:]
	s := scratch{
		name: name[p.offsets["name.wire"]:][:min(binary.NativeEndian.Uint32(name[p.offsets["name.length"]:]), 255)],
		hash: binary.NativeEndian.Uint64(b[p.offsets["scratch.match"]+p.offsets["match.name"]:]),
		ttl:  u32("scratch.ttl"),
	}
	for i := range u32("scratch.found") {
		s.addrs = append(s.addrs, netip.AddrFrom16([16]byte(b[p.offsets["scratch.addrs"]+16*i:])).Unmap())
	}
	return s
}

// run feeds a packet to a program.
func (p *parser) run(program string, packet []byte) {
	p.t.Helper()
	ret, err := p.programs[program].Run(&ebpf.RunOptions{Data: packet})
	if err != nil {
		p.t.Fatalf("run %s on %d bytes: %v", program, len(packet), err)
	}
	if int32(ret) != -1 {
		p.t.Errorf("%s returned %d: it must let every packet go on", program, int32(ret))
	}
}

// TestParser compares the parser in the kernel with a model of it, and both with package dns, on messages of all kinds,
// well-formed and mutated: G1.
func TestParser(t *testing.T) {
	p := newParser(t)
	g := newGenerator(number(t, envParserSeed, 1))
	n := number(t, envParserMessages, parserMessages)
	seen := counts{}
	agreed, start := 0, time.Now()
	for i := range n {
		e := g.next()
		path := paths[g.IntN(len(paths))]
		payload := e.answer
		if path.tcp {
			payload = g.segment(payload)
		}
		p.run(path.programs[0], path.packet(e.query, true))
		p.run(path.programs[1], path.packet(payload, false))
		want := model(question(e.query), payload, path.tcp)
		got := p.moved()
		want.moved = plus(want.moved, learnCounterCOUNT_QUESTIONS)
		ok := maps.Equal(got, want.moved) && p.checkLearnt(want)
		if !path.tcp {
			ok = checkAgainstDNS(t, e, want, &agreed) && ok
		}
		if !ok {
			t.Errorf("message %d by %s, %d mutations: counters %v, want %v\n%x", i, path.programs, e.mutations, got, want.moved, payload)
		}
		if t.Failed() {
			return
		}
		for c := range want.moved {
			seen[c]++
		}
	}
	t.Logf("%d messages in %v, %d of them as package dns reads them; outcomes %v", n, time.Since(start).Round(time.Millisecond), agreed, seen)
	for _, c := range outcomes {
		if seen[c] == 0 {
			t.Errorf("no message had outcome %d: they test too little", c)
		}
	}
}

// outcomes are those that messages of the usual number must have had.
var outcomes = []learnCounter{
	learnCounterCOUNT_ANSWERS, learnCounterCOUNT_ANSWER_UNASKED, learnCounterCOUNT_ANSWER_BAD_HEADER,
	learnCounterCOUNT_ANSWER_BAD_QUESTION, learnCounterCOUNT_ANSWER_RCODE, learnCounterCOUNT_ANSWER_EMPTY,
	learnCounterCOUNT_ANSWER_MALFORMED, learnCounterCOUNT_ANSWER_CUT_RECORDS, learnCounterCOUNT_ANSWER_CUT_SEGMENT,
	learnCounterCOUNT_RECORD_BAD, learnCounterCOUNT_ADDRESS_REFUSED, learnCounterCOUNT_ANSWER_CUT_ADDRESSES,
}

// checkLearnt compares what was learnt with the model: the name, its hash, the addresses in their order, the time; and
// that they got where connect looks.
func (p *parser) checkLearnt(want outcome) bool {
	p.t.Helper()
	if want.moved[learnCounterCOUNT_LEARNT_NO_RULE] == 0 {
		return true
	}
	s := p.scratch()
	hash := p.key.Hash(want.name)
	ok := string(s.name) == string(want.name) && s.hash == hash && s.ttl == want.ttl && slices.Equal(s.addrs, want.addrs)
	if !ok {
		p.t.Errorf("parsed %+v, want %+v with hash %#x", s, want, hash)
	}
	for _, a := range want.addrs {
		var set learnLearntSet
		if err := p.maps[learnMapHostPlain].Lookup(&learnScope{Addr: a.As16()}, &set); err != nil {
			p.t.Errorf("look up %v: %v", a, err)
			return false
		}
		if !slices.ContainsFunc(set.Names[:], func(l learnLearnt) bool { return l.Name == hash }) {
			p.t.Errorf("%v has names %+v, not %#x", a, set.Names, hash)
			return false
		}
	}
	return ok
}

// checkAgainstDNS compares the model with package dns where that takes the message: the same addresses, except where
// we are stricter and learn nothing. And an answer that nobody changed is worth all that it was made of.
func checkAgainstDNS(t *testing.T, e exchange, o outcome, agreed *int) bool {
	t.Helper()
	if e.mutations == 0 && !slices.Equal(o.addrs, e.want) {
		t.Errorf("learnt %v, made of %v", o.addrs, e.want)
		return false
	}
	m := new(dns.Msg)
	if m.Unpack(e.answer) != nil || !m.Response || m.Opcode != dns.OpcodeQuery || m.Rcode&0xf != 0 || len(m.Question) != 1 {
		return true
	}
	end, ok := questionEnd(e.answer)
	if !ok || string(e.answer[:2])+string(e.answer[12:end]) != string(e.query[:2])+string(question(e.query)[12:]) ||
		m.Question[0].Qclass != dns.ClassINET {
		return true
	}
	var want []netip.Addr
	for _, rr := range m.Answer[:min(len(m.Answer), maxRecords)] {
		want = append(want, addressesOf(rr)...)
	}
	want = want[:min(len(want), maxAddrs)]
	if o.partly || o.stricter && len(o.addrs) == 0 {
		return true
	}
	if !slices.Equal(o.addrs, want) {
		t.Errorf("learnt %v, package dns reads %v", o.addrs, want)
		return false
	}
	*agreed++
	return true
}

// question is a query without what follows its question.
func question(query []byte) []byte {
	end, _ := questionEnd(query)
	return query[:end]
}

func plus(c counts, add learnCounter) counts {
	sum := counts{add: 1}
	for k, n := range c {
		sum[k] += n
	}
	return sum
}

func number(t *testing.T, env string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 63)
	check(t, err)
	return n
}
