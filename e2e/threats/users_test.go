package threats

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// people are processes of a victim and of root, and what they do about an address.
type people struct {
	t     *testing.T
	h     *harness.Host
	alice *lab.Agent // asks her own server, which says what she wants
	bob   *lab.Agent
	root  *lab.Agent
}

func newPeople(t *testing.T, h *harness.Host) *people {
	return &people{t, h, h.MustAgent(lab.AgentOptions{UID: alice}), h.MustAgent(lab.AgentOptions{UID: bob}),
		h.MustAgent(lab.AgentOptions{})}
}

// lies has Alice ask a server of hers for a name, and get an address of her choice.
func (p *people) lies(name string, a netip.Addr, hers lab.Host) {
	p.t.Helper()
	p.h.DNS.Set(name, a)
	for _, proto := range []string{"udp", "tcp"} {
		resolve(p.t, p.alice, lab.Query{Name: name, Server: port(hers.Addr4, lab.DNSPort), Proto: proto})
	}
	p.h.DNS.Unset(name)
}

// expect connects as Bob and as root, from the processes that asked and from fresh ones.
func (p *people) expect(to netip.Addr, want, why string) {
	p.t.Helper()
	for _, a := range []*lab.Agent{p.bob, p.root, p.h.MustAgent(lab.AgentOptions{UID: bob}), p.h.MustAgent(lab.AgentOptions{})} {
		expectTCP(p.t, p.h, a, to, want, why)
	}
}

// orders are all orders in which these steps can be done.
func orders(steps []string) [][]string {
	if len(steps) < 2 {
		return [][]string{slices.Clone(steps)}
	}
	var all [][]string
	for i := range steps {
		rest := slices.Delete(slices.Clone(steps), i, i+1)
		for _, o := range orders(rest) {
			all = append(all, append([]string{steps[i]}, o...))
		}
	}
	return all
}

// T5: Alice can pull addresses under rules, block them or take them off rules for nobody but herself, whoever asks
// first, second or last. Defence: the scope (process and user) in learn_address() and judge().
func TestOtherUsersLies(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "ads.example", "block")
	p := newPeople(t, h)
	hers := h.MustHost()
	for _, order := range orders([]string{"alice", "bob", "root"}) {
		// honest is what Bob and root know under a name without a rule, bank under one with.
		honest, bank := h.MustHost(), h.MustHost()
		for _, who := range order {
			switch who {
			case "alice":
				p.lies("bank.example", honest.Addr4, hers)
				p.lies("honest.example", bank.Addr4, hers)
			case "bob":
				p.learns(p.bob, honest, bank)
			case "root":
				p.learns(p.root, honest, bank)
			}
		}
		p.expect(honest.Addr4, "wan0", "in order "+order[0]+", "+order[1]+" first: an honest address")
		p.expect(bank.Addr4, "vpn0", "in order "+order[0]+", "+order[1]+" first: the bank's address")
		expectTCP(t, h, p.alice, honest.Addr4, "vpn0", "Alice's own lie about an honest address")
		expectTCP(t, h, p.alice, bank.Addr4, "wan0", "Alice's own lie about the bank's address")
	}
	// What nobody else has asked for.
	fresh, blocked := h.MustHost(), h.MustHost()
	p.lies("bank.example", fresh.Addr4, hers)
	p.lies("ads.example", blocked.Addr4, hers)
	p.expect(fresh.Addr4, "wan0", "an address that only Alice asked for")
	p.expect(blocked.Addr4, "wan0", "an address that Alice gave a blocked name")
	again := h.MustAgent(lab.AgentOptions{UID: alice})
	expectTCP(t, h, again, fresh.Addr4, "vpn0", "another process of Alice's")
	expectTCP(t, h, again, blocked.Addr4, "EHOSTUNREACH", "another process of Alice's")
	for _, l := range h.Learnt() {
		if l.Address == fresh.Addr4 && (l.Level == "host" || l.UID != alice) {
			t.Errorf("Alice taught level %q of uid %d", l.Level, l.UID)
		}
	}
}

func (p *people) learns(a *lab.Agent, honest, bank lab.Host) {
	p.t.Helper()
	p.h.DNS.Set("honest.example", honest.Addr4)
	p.h.DNS.Set("bank.example", bank.Addr4)
	resolve(p.t, a, lab.Query{Name: "honest.example"})
	resolve(p.t, a, lab.Query{Name: "bank.example"})
}
