package kit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

// The rule of all rounds, and the interface it names. The name without a rule ends in the same letters.
const (
	RuledDomain   = "ruled.example"
	UnruledDomain = "unruled.example"
	Interface     = "vpn0"
)

// Family is an address family: IPv4, IPv6, or Any for names of which the program takes either address.
type Family int

// Families that clients are told on their command line.
const (
	Any  Family = 0
	IPv4 Family = 4
	IPv6 Family = 6
)

// String is the family's number, as programs take it.
func (f Family) String() string { return fmt.Sprint(int(f)) }

// made counts the names of this process: no resolver may know one from before.
var made atomic.Int32

// Round is one name that nobody has asked for yet, at addresses that no other name has: nothing learnt earlier can
// help it.
type Round struct {
	Name  string
	Host  lab.Host
	Ruled bool
}

// Rounds is a list of rounds, ruled and unruled by turns.
type Rounds []Round

// MakeRounds makes n rounds with a rule and n without. Their names have addresses of the families given, both if none is.
func MakeRounds(h *Host, n int, label string, families ...Family) Rounds {
	var rounds Rounds
	for range n {
		count := made.Add(1)
		for _, domain := range []string{RuledDomain, UnruledDomain} {
			r := Round{Name: fmt.Sprintf("%s-%d.%s", label, count, domain), Host: h.MustHost(), Ruled: domain == RuledDomain}
			var addrs []netip.Addr
			for _, f := range []Family{IPv4, IPv6} {
				if len(families) == 0 || slices.Contains(families, f) {
					addrs = append(addrs, r.Addrs(f)...)
				}
			}
			h.DNS.Set(r.Name, addrs...)
			rounds = append(rounds, r)
		}
	}
	return rounds
}

// Addrs lists the round's addresses of a family, or all.
func (r Round) Addrs(f Family) []netip.Addr {
	switch f {
	case IPv4:
		return []netip.Addr{r.Host.Addr4}
	case IPv6:
		return []netip.Addr{r.Host.Addr6}
	}
	return []netip.Addr{r.Host.Addr4, r.Host.Addr6}
}

// Names lists the rounds' names.
func (rs Rounds) Names() []string {
	var names []string
	for _, r := range rs {
		names = append(names, r.Name)
	}
	return names
}

// Asked checks that the lab's name server was asked for every name, so many times at least, since its log was emptied.
func (rs Rounds) Asked(t testing.TB, h *Host, times int) {
	t.Helper()
	asked := questions(h)
	rs.each(t, func(r Round) string { return unless(asked[r.Name] >= times, "asked for %d times", asked[r.Name]) })
}

// NotAsked checks that the lab's name server was asked for none of the names: their answers came from a cache.
func (rs Rounds) NotAsked(t testing.TB, h *Host) {
	t.Helper()
	asked := questions(h)
	rs.each(t, func(r Round) string { return unless(asked[r.Name] == 0, "asked for again") })
}

func questions(h *Host) map[string]int {
	asked := map[string]int{}
	for _, q := range h.DNS.Questions() {
		asked[strings.ToLower(strings.TrimSuffix(q.Name, "."))]++
	}
	return asked
}

// Judge checks what the servers saw of each round since the log was emptied: `connections` of them, all from the right
// interface's address, and by the sniffer not one packet to the server by the wrong one (but see Farewells).
func (rs Rounds) Judge(t testing.TB, h *Host, f Family, connections int) {
	t.Helper()
	from := map[netip.Addr][]netip.Addr{}
	for _, hit := range h.Hits() {
		from[hit.Server.Addr()] = append(from[hit.Server.Addr()], hit.Client.Addr())
	}
	rs.each(t, func(r Round) string {
		seen := 0
		for _, server := range r.Addrs(f) {
			seen += len(from[server])
			if fault := r.fault(t, h, server, from[server]); fault != "" {
				return fault
			}
		}
		return unless(seen == connections, "arrived %d times, want %d", seen, connections)
	})
}

// fault tells what is wrong with the connections that one of the round's addresses saw.
func (r Round) fault(t testing.TB, h *Host, server netip.Addr, clients []netip.Addr) string {
	t.Helper()
	right, wrong := h.Uplink("wan0"), Interface
	if r.Ruled {
		right, wrong = h.Uplink(Interface), "wan0"
	}
	want := right.Addr4
	if server.Is6() {
		want = right.Addr6
	}
	for _, c := range clients {
		if c != want {
			return fmt.Sprintf("came from %v, want %v (%s)", c, want, right.Name)
		}
	}
	n := packets(t, h, wrong, server)
	if r.Ruled {
		n -= h.Farewells(t, server)
	}
	if n > 0 {
		return fmt.Sprintf("%d packets by %s", n, wrong)
	}
	return unless(len(clients) == 0 || packets(t, h, right.Name, server) > 0, "no packet by %s", right.Name)
}

func packets(t testing.TB, h *Host, uplink string, server netip.Addr) int {
	t.Helper()
	n, err := h.UplinkPackets(uplink, server)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// unless is nothing where all is well, or else what is wrong.
func unless(good bool, format string, args ...any) string {
	if good {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// each fails the test with the number of rounds that have a fault, and the faults of a few.
func (rs Rounds) each(t testing.TB, fault func(Round) string) {
	t.Helper()
	var faults []string
	for _, r := range rs {
		if f := fault(r); f != "" {
			faults = append(faults, r.Name+": "+f)
		}
	}
	if len(faults) > 0 {
		t.Errorf("%d of %d rounds failed, the first:\n%s", len(faults), len(rs), strings.Join(faults[:min(len(faults), 5)], "\n"))
	}
}
