package threats

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// More names, and far more addresses, than there is room for: bpf/maps.h.
const (
	crowdNames     = 9_500
	crowdAddresses = 3 // of each name
)

// flood has Alice learn as many names below a rule, and addresses of them, as she likes.
func (p *people) flood(hers lab.Host) {
	p.t.Helper()
	next := netip.MustParseAddr("100.64.0.1")
	for i := range crowdNames {
		name := fmt.Sprintf("n%d.bank.example", i)
		var addrs []netip.Addr
		for range crowdAddresses {
			addrs = append(addrs, next)
			next = next.Next()
		}
		p.h.DNS.Set(name, addrs...)
		resolve(p.t, p.alice, lab.Query{Name: name, Server: port(hers.Addr4, lab.DNSPort)})
		p.h.DNS.Unset(name)
	}
}

// T14, among users: whatever Alice has learnt, what Bob and root learnt stays, and stays known by its name, so that a
// rule that is added later finds it. Defence: the shares in bpf/crowd.h.
func TestFloodOfRuledNames(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	p := newPeople(t, h)
	hers := h.MustHost()
	// Each his own, since what root knows counts for Bob too.
	bobs, bobsLater := h.MustHost("bob.bank.example"), h.MustHost("later.bob.bank.example")
	roots, rootsLater := h.MustHost("root.bank.example"), h.MustHost("later.root.bank.example")
	for _, name := range []string{"bob.bank.example", "later.bob.bank.example"} {
		resolve(t, p.bob, lab.Query{Name: name})
	}
	for _, name := range []string{"root.bank.example", "later.root.bank.example"} {
		resolve(t, p.root, lab.Query{Name: name})
	}
	p.flood(hers)
	if lost := h.Counters()["learnt_lost"]; lost > crowdNames/1000 {
		t.Errorf("%d were lost", lost)
	}
	for _, bob := range []*lab.Agent{p.bob, h.MustAgent(lab.AgentOptions{UID: bob})} {
		expectTCP(t, h, bob, bobs.Addr4, "vpn0", "Bob's, after Alice's flood")
	}
	p.expect(roots.Addr4, "vpn0", "root's, after Alice's flood")
	expectTCP(t, h, p.alice, p.last(), "vpn0", "what Alice learnt last")
	h.Must("rule", "add", "later.bob.bank.example", "block")
	h.Must("rule", "add", "later.root.bank.example", "block")
	expectTCP(t, h, p.bob, bobsLater.Addr4, "EHOSTUNREACH", "Bob's, by a rule that came after the flood")
	p.expect(rootsLater.Addr4, "EHOSTUNREACH", "root's, by a rule that came after the flood")
	expectTCP(t, h, p.bob, bobs.Addr4, "vpn0", "Bob's, beside a later rule")
}

// last gives Alice one more name, whose server is there.
func (p *people) last() netip.Addr {
	last := p.h.MustHost("last.bank.example")
	resolve(p.t, p.alice, lab.Query{Name: "last.bank.example"})
	return last.Addr4
}
