package resolvers

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// names is how many names with a rule, and how many without, each visitor asks for.
const names = 10

// stranger is a user who never asks for anything.
const stranger = 4299

var echo = strconv.Itoa(lab.EchoPort)

// resolver is a way to the lab's name server.
type resolver struct {
	name string
	// start returns where programs ask.
	start func(*testing.T, *kit.Host) netip.Addr
	// caches: it answers by itself what was asked before, and it is a system service, whose evidence is the host's.
	caches bool
}

var resolvers = []resolver{
	{name: "direct", start: func(_ *testing.T, h *kit.Host) netip.Addr { return h.DNS.Addr4 }},
	{name: "direct-ipv6", start: func(_ *testing.T, h *kit.Host) netip.Addr { return h.DNS.Addr6 }},
	{name: "dnsmasq", start: running((*lab.Lab).StartDnsmasq), caches: true},
	{name: "unbound", start: running((*lab.Lab).StartUnbound), caches: true},
	{name: "systemd-resolved", start: running((*lab.Lab).StartResolved), caches: true},
}

// running starts a resolver that ends with the test.
func running(start func(*lab.Lab) (*lab.Resolver, error)) func(*testing.T, *kit.Host) netip.Addr {
	return func(t *testing.T, h *kit.Host) netip.Addr {
		t.Helper()
		r, err := start(h.Lab)
		harness.Need(t, !errors.Is(err, exec.ErrNotFound), fmt.Sprint(err))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Stop)
		return r.Addr.Addr()
	}
}

// transport is how questions and answers go.
type transport struct {
	name     string
	options  []string // of resolv.conf
	truncate bool     // every answer by UDP is cut, so that whoever asked comes again by TCP
}

var transports = []transport{
	{name: "udp"},
	{name: "udp-edns0", options: []string{"edns0", "trust-ad"}},
	{name: "truncated", truncate: true},
	{name: "tcp", options: []string{"use-vc"}},
}

// visitors are who asks first, whom no cache can help, and who asks after them, another process.
var visitors = []struct{ cold, cached uint32 }{{kit.User, 0}, {0, kit.User}, {kit.User, kit.User + 1}}

func TestResolvers(t *testing.T) {
	for _, r := range resolvers {
		t.Run(r.name, func(t *testing.T) {
			h := kit.Start(t)
			client, server := kit.Glibc(t, h), r.start(t, h)
			for _, tr := range transports {
				t.Run(tr.name, func(t *testing.T) {
					tr.set(t, h, server)
					want := evidence{}
					for _, v := range visitors {
						for _, f := range []kit.Family{kit.IPv4, kit.IPv6, kit.Any} {
							t.Run(fmt.Sprintf("uids-%d-%d-family-%d", v.cold, v.cached, f), func(t *testing.T) {
								all := r.visit(t, h, client, f, v.cold, v.cached)
								want.add(all, f, v.cold)
								want.add(all, f, v.cached)
							})
						}
					}
					want.check(t, h)
				})
			}
		})
	}
}

// TestGoResolver: Go's own resolver asks in its own way, and makes its own way to TCP.
func TestGoResolver(t *testing.T) {
	h := kit.Start(t)
	client := kit.Go(t, h)
	for _, r := range resolvers {
		t.Run(r.name, func(t *testing.T) {
			server := r.start(t, h)
			for _, tr := range transports {
				t.Run(tr.name, func(t *testing.T) {
					tr.set(t, h, server)
					r.visit(t, h, client, kit.Any, kit.User, 0)
				})
			}
		})
	}
}

func (tr transport) set(t *testing.T, h *kit.Host, server netip.Addr) {
	t.Helper()
	if err := h.SetResolver(server, tr.options...); err != nil {
		t.Fatal(err)
	}
	h.DNS.Truncate(tr.truncate)
	t.Cleanup(func() { h.DNS.Truncate(false) })
}

// visit has two processes visit the same names, one after the other, the first ever to ask for them.
func (r resolver) visit(t *testing.T, h *kit.Host, client kit.Command, f kit.Family, cold, cached uint32) kit.Rounds {
	all := kit.MakeRounds(h, names, "name")
	args := append([]string{f.String(), echo}, all.Names()...)
	h.ResetHits()
	h.DNS.ResetQuestions()
	client.Run(t, h, cold, args...)
	all.Asked(t, h, 1)
	all.Judge(t, h, f, 1)

	h.DNS.ResetQuestions()
	client.Run(t, h, cached, args...)
	if r.caches {
		all.NotAsked(t, h)
	} else {
		all.Asked(t, h, 1)
	}
	all.Judge(t, h, f, 2)
	return all
}

// evidence is what has to be learnt of the users' own: a cached answer teaches too, it does not only profit from what
// the resolver or somebody else has learnt. System users have the host's.
type evidence map[fact]int

type fact struct {
	name  string
	addr  netip.Addr
	level string
	uid   uint32
}

func (e evidence) add(all kit.Rounds, f kit.Family, uid uint32) {
	level := "user"
	if uid < 1000 {
		level = "host"
	}
	for _, round := range all {
		for _, a := range round.Addrs(f) {
			e[fact{round.Name, a, level, uid}] = 1
		}
	}
}

func (e evidence) check(t *testing.T, h *kit.Host) {
	t.Helper()
	found := evidence{}
	for _, l := range h.Learnt() {
		found[fact{l.Name, l.Address, l.Level, l.UID}]++
	}
	for f := range e {
		if found[f] != 1 {
			t.Errorf("%+v is there %d times, want once", f, found[f])
		}
	}
}

// TestStranger: what a local resolver learns, being a system service, holds for users who never asked; what one user
// learns by asking a server directly holds for no other.
func TestStranger(t *testing.T) {
	h := kit.Start(t)
	client := kit.Glibc(t, h)
	agent := h.MustAgent(lab.AgentOptions{UID: stranger})
	for _, r := range resolvers {
		t.Run(r.name, func(t *testing.T) {
			transports[0].set(t, h, r.start(t, h))
			all := kit.MakeRounds(h, names, "name")
			client.Run(t, h, kit.User, append([]string{kit.Any.String(), echo}, all.Names()...)...)
			wan, vpn := h.Uplink("wan0"), h.Uplink(kit.Interface)
			for _, round := range all {
				up := wan
				if round.Ruled && r.caches {
					up = vpn
				}
				for _, way := range [][]netip.Addr{{round.Host.Addr4, up.Addr4}, {round.Host.Addr6, up.Addr6}} {
					seen, err := agent.DialTCP(netip.AddrPortFrom(way[0], lab.EchoPort))
					if err != nil || seen != way[1].String() {
						t.Errorf("%s %v: the server saw %q, %v; want %v", round.Name, way[0], seen, err, way[1])
					}
				}
			}
		})
	}
}

// TestTransports: the transports are what they are called, or the other tests prove less than they say.
func TestTransports(t *testing.T) {
	h := kit.Start(t)
	client := kit.Glibc(t, h)
	for name, want := range map[string][]string{"udp": {"udp"}, "truncated": {"udp", "tcp"}, "tcp": {"tcp"}} {
		i := slices.IndexFunc(transports, func(tr transport) bool { return tr.name == name })
		transports[i].set(t, h, h.DNS.Addr4)
		host := h.MustHost(name + ".example")
		h.DNS.ResetQuestions()
		client.Run(t, h, kit.User, "4", echo, name+".example")
		var got []string
		for _, q := range h.DNS.Questions() {
			got = append(got, q.Proto)
		}
		if !slices.Equal(got, want) || len(h.HitsOn(host.Addr4)) != 1 {
			t.Errorf("%s: asked by %v, want %v", name, got, want)
		}
	}
}
