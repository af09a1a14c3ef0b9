package routes

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/guest"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// The observer `tc` learns from DNS that the host forwards, and the host's connections are steered by it.
func TestForwardedDNS(t *testing.T) {
	for _, c := range []struct{ observe, uplink string }{
		{"tc:" + guest.Link, "wan0"},
		{"tc:wan0", "wan0"},
		{"tc:tun0", "tun0"}, // no Ethernet header
		{"tc", "wan0"},
	} {
		t.Run(c.observe, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			if c.uplink == "tun0" {
				check(t, h.AddUplink("tun0", lab.UplinkOptions{Tun: true, Metric: 50}))
			}
			g := guest.New(t, h.Lab, c.uplink)
			h.Must("start", "--cgroup", h.Cgroup, "--observe", c.observe)
			there, here := h.MustAgent(lab.AgentOptions{NS: g.NS}), h.MustAgent(lab.AgentOptions{})
			user := h.MustAgent(lab.AgentOptions{UID: 1001})
			rules(t, h, [2]string{"forwarded.test", "vpn0"})
			for i, q := range forwardedQueries(h) {
				name := []string{"a", "b", "c", "d"}[i] + ".forwarded.test"
				server := h.MustHost(name)
				wantOut(t, h, here, server, c.uplink)
				for _, q.Type = range []uint16{dns.TypeA, dns.TypeAAAA} {
					q.Name = name
					if _, err := there.Resolve(q); err != nil {
						t.Fatalf("resolve by %+v: %v", q, err)
					}
				}
				for _, l := range h.Learnt() {
					if l.Address == server.Addr4 && (l.Level != "host" || l.Name != name) {
						t.Errorf("learnt %+v, want %s at the host's level only", l, name)
					}
				}
				wantOut(t, h, here, server, "vpn0")
				wantOut(t, h, user, server, "vpn0")
			}
		})
	}
}

// forwardedQueries are the ways to ask: UDP and TCP, IPv4 and IPv6.
func forwardedQueries(h *harness.Host) []lab.Query {
	by6 := netip.AddrPortFrom(h.DNS.Addr6, lab.DNSPort)
	return []lab.Query{{}, {Proto: "tcp"}, {Server: by6, EDNS: true}, {Server: by6, Proto: "tcp"}}
}

// An answer that passes but was not asked for, or was answered already, teaches nothing.
func TestForwardedAnswersAreMatched(t *testing.T) {
	h := harness.New(t, lab.Options{})
	g := guest.New(t, h.Lab, "wan0")
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:"+guest.Link)
	there := h.MustAgent(lab.AgentOptions{NS: g.NS})
	rules(t, h, [2]string{"match.test", "vpn0"})
	real, forged := h.MustHost("real.match.test"), h.MustHost("forged.match.test")
	h.DNS.HandleRaw("twice.match.test", func(query []byte, _ string) [][]byte {
		q := new(dns.Msg)
		if q.Unpack(query) != nil {
			return nil
		}
		return [][]byte{answer(h, q, "wrong-name.match.test", forged), answer(h, q, "twice.match.test", real), answer(h, q, "twice.match.test", forged)}
	})
	s, err := there.Socket("udp4")
	check(t, err)
	check(t, s.Connect(netip.AddrPortFrom(h.DNS.Addr4, lab.DNSPort)))
	q := new(dns.Msg)
	q.SetQuestion("twice.match.test.", dns.TypeA)
	b, err := q.Pack()
	check(t, err)
	check(t, s.Send(b))
	for range 3 {
		_, _, err := s.Recv()
		check(t, err)
	}
	if names := h.Names(real.Addr4); !slices.Equal(names, []string{"twice.match.test"}) {
		t.Errorf("of the true answer: learnt %v", names)
	}
	if names := h.Names(forged.Addr4); len(names) > 0 {
		t.Errorf("of the forged ones: learnt %v", names)
	}
	if n := h.Counters()["answer_unasked"]; n != 2 {
		t.Errorf("answer_unasked is %d, want 2", n)
	}
}

// answer packs an A record for a question that may be another than the one asked.
func answer(h *harness.Host, q *dns.Msg, name string, to lab.Host) []byte {
	r := h.DNS.Reply(q)
	r.Rcode = dns.RcodeSuccess
	r.Question[0].Name = dns.Fqdn(name)
	r.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: to.Addr4.AsSlice(),
	}}
	b, _ := r.Pack()
	return b
}

// The interface of the observer is gone and back: the next start attaches again, and stop does not mind that it is gone.
func TestObservedInterfaceGone(t *testing.T) {
	h := harness.New(t, lab.Options{})
	g := guest.New(t, h.Lab, "wan0")
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:lte0,"+guest.Link)
	check(t, h.DeleteUplink("lte0"))
	there := h.MustAgent(lab.AgentOptions{NS: g.NS})
	server := h.MustHost("gone.test")
	learn(t, []string{"gone.test"}, there)
	if names := h.Names(server.Addr4); len(names) != 1 {
		t.Errorf("by the interface that is left: learnt %v", names)
	}
	var status struct {
		Warnings []string
		Programs []struct {
			Hook     string
			Attached bool
		}
	}
	h.JSON(&status, "status")
	lost := 0
	for _, p := range status.Programs {
		if !p.Attached {
			lost++
		}
	}
	if lost != 2 || len(status.Warnings) == 0 {
		t.Errorf("status shows %d hooks lost and warns %q; want 2 and a warning", lost, status.Warnings)
	}
	check(t, h.CreateUplink("lte0"))
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:lte0,"+guest.Link)
	h.JSON(&status, "status")
	for _, p := range status.Programs {
		if !p.Attached {
			t.Errorf("%s is not attached after another start", p.Hook)
		}
	}
	check(t, h.DeleteUplink("lte0"))
	h.Must("stop")
}

// stop removes what start added to an interface and nothing else: other tcx programs, a qdisc and its filters stay.
func TestStopLeavesForeignFilters(t *testing.T) {
	h := harness.New(t, lab.Options{})
	dev, err := h.Client.NL.LinkByName("wan0")
	check(t, err)
	var tcx link.Link
	check(t, h.Client.Do(func() (err error) {
		tcx, err = link.AttachTCX(link.TCXOptions{
			Interface: dev.Attrs().Index, Attach: ebpf.AttachTCXIngress,
			Program: inkernel.ForeignProgram(t, ebpf.SchedCLS, ebpf.AttachNone, -1),
		})
		return err
	}))
	t.Cleanup(func() { tcx.Close() })
	inkernel.ForeignFilter(t, h.Client, dev)
	before := inkernel.OnInterface(t, h.Client, dev)
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:wan0")
	if now := inkernel.OnInterface(t, h.Client, dev); slices.Equal(now, before) {
		t.Fatalf("start added nothing to wan0: %v", now)
	}
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:wan0") // an update
	h.Must("stop")
	if now := inkernel.OnInterface(t, h.Client, dev); !slices.Equal(now, before) {
		t.Errorf("wan0 has %v after stop, had %v", now, before)
	}
}
