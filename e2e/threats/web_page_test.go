package threats

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	pageLookUps = 10000 // by what a page has a browser load
	pageOthers  = 10000 // addresses beside the bank's
	pageEach    = 20    // of them in an answer
)

// A page that a browser shows has it look up names whose answers all hold the bank's address: new names each time, and
// the same name again and again, with thousands of other addresses beside. The bank's rule holds for that browser, for
// its user's other programs, for other users and for root, whoever of them looked it up. Defence: maps apart for names
// with a rule and without, the first beating the second in CONSULT_LEVEL; MAX_NAMES counts for each map.
func TestWebPage(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "bank.example", "vpn0")
	bank := h.MustHost("bank.example")
	browser := h.MustAgent(lab.AgentOptions{UID: alice})
	others := map[string]*lab.Agent{"Bob, who asked": h.MustAgent(lab.AgentOptions{UID: bob}), "root": h.MustAgent(lab.AgentOptions{})}
	lookUp := func(a *lab.Agent) {
		t.Helper()
		resolve(t, a, lab.Query{Name: "bank.example"})
		resolve(t, a, lab.Query{Name: "bank.example", Type: dns.TypeAAAA})
	}
	lookUp(browser)
	for _, a := range others {
		lookUp(a)
	}
	others["the browser"] = browser
	others["another program of its user's"] = h.MustAgent(lab.AgentOptions{UID: alice})
	others["somebody who never asked"] = h.MustAgent(lab.AgentOptions{UID: nobody})
	v := look(h)
	for i := range pageLookUps {
		name := "evil.example"
		if i%2 == 0 {
			name = fmt.Sprintf("evil%d.example", i)
		}
		h.DNS.Set(name, append(otherAddresses(i), bank.Addr4, bank.Addr6)...)
		resolve(t, browser, lab.Query{Name: name, Type: []uint16{dns.TypeA, dns.TypeAAAA}[i/2%2], EDNS: true})
		if i%1000 == 0 || i == pageLookUps-1 {
			for who, a := range others {
				expectBank(t, h, a, bank, fmt.Sprintf("%s, after %d names", who, i+1))
			}
		}
	}
	if moved := v.moved("learnt"); moved["learnt_no_rule"] != pageLookUps*(pageEach+1) || moved["learnt"] > 0 {
		t.Errorf("counters: %v", moved)
	}
}

// otherAddresses are those beside the bank's in an answer, of both families. They go round.
func otherAddresses(i int) []netip.Addr {
	var list []netip.Addr
	for j := range pageEach {
		k := (i*pageEach + j) % pageOthers
		list = append(list, netip.AddrFrom4([4]byte{100, 64, byte(k >> 8), byte(k)}),
			netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xee, 14: byte(k >> 8), 15: byte(k)}))
	}
	return list
}

// expectBank connects in every way.
func expectBank(t *testing.T, h *harness.Host, a *lab.Agent, bank lab.Host, why string) {
	t.Helper()
	for _, to := range []netip.Addr{bank.Addr4, bank.Addr6} {
		expectTCP(t, h, a, to, "vpn0", why)
		for kind, dial := range map[string]func(netip.AddrPort) (string, error){"connected": a.DialUDP, "unconnected": a.DialUDPUnconnected} {
			if seen, err := dial(port(to, lab.EchoPort)); err != nil || uplinkOf(h, seen) != "vpn0" {
				t.Errorf("%s: %s datagram to %v went by %q (%v)", why, kind, to, uplinkOf(h, seen), err)
			}
		}
	}
}
