package threats

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// sequences are orders of look-ups: the bank has a rule, names of evil.example have none; more of them than MAX_NAMES.
var sequences = [][]string{
	{"bank", "evil0"},
	{"evil0", "bank"},
	{"bank", "evil0", "bank"},
	{"evil0", "bank", "evil0"},
	{"bank", "evil0", "evil1", "evil2", "evil3", "evil4", "evil5"},
	{"evil0", "evil1", "evil2", "evil3", "evil4", "evil5", "bank"},
	{"evil0", "evil1", "evil2", "bank", "evil3", "evil4", "evil5"},
}

// T6: evil.example points to the bank's address. Whoever looks up what in which order, the bank's address stays
// under its rule, at each level. Defence: names with a rule in maps of their own (learn_for), and first in
// CONSULT_LEVEL.
func TestSharedAddress(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	for _, level := range []struct {
		name       string
		asks, goes uint32 // users; 0 and 0 are two processes
		same       bool
	}{
		{"process", alice, alice, true},
		{"user", alice, alice, false},
		{"host", 0, bob, false},
		{"service", 100, bob, false},
		{"service itself", 100, 100, true},
	} {
		asks := h.MustAgent(lab.AgentOptions{UID: level.asks})
		goes := asks
		if !level.same {
			goes = h.MustAgent(lab.AgentOptions{UID: level.goes})
		}
		for _, seq := range sequences {
			bank := h.MustHost()
			for _, who := range seq {
				name := who + ".evil.example"
				if who == "bank" {
					name = "bank.example"
				}
				h.DNS.Set(name, bank.Addr4, bank.Addr6)
				resolve(t, asks, lab.Query{Name: name})
				resolve(t, asks, lab.Query{Name: name, Type: dns.TypeAAAA})
			}
			why := level.name + ": " + strings.Join(seq, " ")
			expectTCP(t, h, goes, bank.Addr4, "vpn0", why)
			expectTCP(t, h, goes, bank.Addr6, "vpn0", why)
		}
	}
}

// A short life does not help evil either: the bank's TTL is over at once.
func TestSharedAddressAfterTTL(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	bank := h.MustHost("bank.example", "evil0.example", "evil1.example", "evil2.example", "evil3.example", "evil4.example")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	h.DNS.SetTTL(0)
	resolve(t, a, lab.Query{Name: "bank.example"})
	h.DNS.SetTTL(3600)
	for i := range 5 {
		resolve(t, a, lab.Query{Name: fmt.Sprintf("evil%d.example", i)})
	}
	expectTCP(t, h, a, bank.Addr4, "vpn0", "TTL 0")
}

// floodNames is more than any map of plain names holds, floodPairs more than any map of plain evidence does.
const (
	floodNames = 20000
	floodPairs = 30000
	pairsEach  = 40 // addresses in an answer
)

// floodBy has one process of a user ask for f0.suffix to f<n-1>.suffix, each so many times, and waits for the end.
func floodBy(t *testing.T, h *harness.Host, uid uint32, suffix string, n, times int) {
	t.Helper()
	cmd := h.Command(context.Background(), "/proc/self/exe")
	if uid != 0 {
		cmd.AsUser(uid)
	}
	out := runChild(t, cmd, "flood", task{
		Servers: []netip.AddrPort{port(h.DNS.Addr4, lab.DNSPort)}, Names: []string{suffix}, Last: n, Times: times,
	})
	var answers int
	if _, err := fmt.Sscanf(out[0], "answers %d", &answers); err != nil || answers < n*times*99/100 {
		t.Fatalf("%d of %d answers came: the test tests little", answers, n*times)
	}
}

// T6, T14, G7: floods of names without a rule, for the bank's own address and for others, evict nothing that has one,
// and take no memory. Defence: maps apart for names with a rule and without, and for the host and the users.
func TestFloods(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "bank.example", "vpn0")
	banks := map[uint32]lab.Host{}
	agents := map[uint32]*lab.Agent{}
	for _, uid := range []uint32{0, alice, bob} {
		banks[uid], agents[uid] = h.MustHost(), h.MustAgent(lab.AgentOptions{UID: uid})
		h.DNS.Set("bank.example", banks[uid].Addr4)
		resolve(t, agents[uid], lab.Query{Name: "bank.example"})
	}
	expect := func(why string) {
		t.Helper()
		for uid, bank := range banks {
			expectTCP(t, h, agents[uid], bank.Addr4, "vpn0", why)
			expectTCP(t, h, h.MustAgent(lab.AgentOptions{UID: uid}), bank.Addr4, "vpn0", why+", a new process")
		}
	}
	expect("before the floods") // from now on the rule has its count in the kernel, 80 bytes
	memory := memoryBytes(h)
	v := look(h)
	for i := range floodNames {
		h.DNS.Set(fmt.Sprintf("f%d.names.evil", i), banks[0].Addr4, banks[alice].Addr4)
	}
	floodBy(t, h, 0, "names.evil", floodNames/2, 1)
	floodBy(t, h, alice, "names.evil", floodNames, 1)
	expect("after a flood of names for the bank's addresses")
	for i := range floodPairs / pairsEach {
		h.DNS.Set(fmt.Sprintf("f%d.pairs.evil", i), distinct(i, pairsEach)...)
	}
	floodBy(t, h, 0, "pairs.evil", floodPairs/pairsEach, 1)
	floodBy(t, h, alice, "pairs.evil", floodPairs/pairsEach, 1)
	expect("after a flood of addresses")
	moved := v.moved("learnt")
	if want := uint64(3*floodNames+2*floodPairs) * 99 / 100; moved["learnt_no_rule"] < want || moved["learnt"] > 0 {
		t.Errorf("counters: %v, want %d without a rule at least", moved, want)
	}
	if now := memoryBytes(h); now != memory {
		t.Errorf("%d bytes of memory, %d before", now, memory)
	}
	testRuledFlood(t, h, banks[0])
}

// testRuledFlood: Alice floods with names that do have a rule, from her own zone. That may cost her and other users what
// they learnt, since they share a map; what the host learnt stays.
func testRuledFlood(t *testing.T, h *harness.Host, bank lab.Host) {
	h.Must("rule", "add", "alice.example", "wan0")
	const names = 2 * floodPairs / pairsEach
	for i := range names {
		h.DNS.Set(fmt.Sprintf("f%d.alice.example", i), distinct(i, pairsEach)...)
	}
	floodBy(t, h, alice, "alice.example", names, 2) // a second answer makes an entry look used
	expectTCP(t, h, h.MustAgent(lab.AgentOptions{}), bank.Addr4, "vpn0", "root, after Alice's flood of names with a rule")
	expectTCP(t, h, h.MustAgent(lab.AgentOptions{UID: bob}), bank.Addr4, "vpn0", "Bob by what the host learnt")
}

// distinct are n addresses that no other i has; nothing is served there.
func distinct(i, n int) []netip.Addr {
	var list []netip.Addr
	for j := range n {
		k := i*n + j
		list = append(list, netip.AddrFrom4([4]byte{100, 64 + byte(k>>16), byte(k >> 8), byte(k)}))
	}
	return list
}

func memoryBytes(h *harness.Host) uint64 {
	var data struct {
		MemoryBytes uint64 `json:"memory_bytes"`
	}
	h.JSON(&data, "status")
	return data.MemoryBytes
}
