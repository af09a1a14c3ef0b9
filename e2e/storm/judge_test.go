package storm

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// nothing is allowed.
func nothing(packet) bool { return false }

// lastWord tells whether the kernel may have sent a packet of its own accord by the routing table, or somebody else to
// our address there. Nothing that a program sent is among them: no datagram, and no segment with SYN, FIN or data.
//
//   - A bare RST, where a segment found no socket: the socket was bound to an interface that is gone, and the same server
//     is heard by the new one. tcp_v4_send_reset and tcp_v6_send_reset know no interface then.
//   - Over IPv6 a bare ACK from a TIME_WAIT entry, see kit.
//   - An ICMP error, where a datagram found no socket for the same reason, or because its program did not wait.
//   - What servers send to wan0's own address: an interface that has no address yet sends by another's. Over IPv4 often, over
//     IPv6 seldom. Programs' own packets are those that go out.
func (s *storm) lastWord(p packet) bool {
	if !p.out {
		u := s.Uplink("wan0")
		return p.dst == u.Addr4 || p.dst == u.Addr6
	}
	switch p.proto {
	case unix.IPPROTO_TCP:
		bare := p.flags == flagACK && p.dst.Is6() || p.flags&^flagACK == flagRST
		return bare && p.data == 0
	case protoICMP:
		return p.icmp == icmpUnreachable
	case protoICMPv6:
		return p.icmp == icmpv6Unreachable
	}
	return false
}

// judge looks for what may not be there, and then whether it would have been seen.
func (s *storm) judge(allowed func(packet) bool) {
	s.t.Helper()
	s.judgeStorm()
	for _, w := range s.watches {
		s.judgePackets(w, allowed)
	}
	if s.t.Failed() {
		return
	}
	s.leak()
	seen := map[string]int{}
	s.watches[0].each(s.t, func(p packet) {
		if s.isRuled(p) && p.out {
			seen[p.kind()]++
		}
	})
	for _, kind := range []string{"out TCP4 S", "out TCP6 S", "out UDP4", "out UDP6"} {
		if seen[kind] == 0 {
			s.t.Errorf("the test is blind: no %q among %v", kind, seen)
		}
	}
}

func (s *storm) isRuled(p packet) bool { return s.ruled[p.src] || s.ruled[p.dst] }

// leak visits from outside the cgroup.
func (s *storm) leak() {
	s.t.Helper()
	a := s.MustAgent(lab.AgentOptions{OutsideCgroup: true})
	for addr := range s.ruled {
		to := addrPort(addr)
		_, tcp := a.DialTCP(to)
		_, udp := a.DialUDPUnconnected(to)
		s.check(tcp)
		s.check(udp)
	}
}

func (s *storm) judgePackets(w *watch, allowed func(packet) bool) {
	s.t.Helper()
	bad, fine := map[string][]string{}, map[string]int{}
	w.each(s.t, func(p packet) {
		switch {
		case !s.isRuled(p):
		case allowed(p):
			fine[p.kind()]++
		default:
			bad[p.kind()] = append(bad[p.kind()], p.text)
		}
	})
	for _, kind := range slices.Sorted(maps.Keys(bad)) {
		list := bad[kind]
		s.t.Errorf("%s: %d times %s:\n\t%s", w.uplink, len(list), kind, strings.Join(list[:min(6, len(list))], "\n\t"))
	}
	s.t.Logf("%s: the kernel's own: %v", w.uplink, fine)
}

// ends that a visit may have, beside "ok".
var ends = map[string]string{
	"ENODEV":      "the interface is away",
	"ENETUNREACH": "it has no route yet",
	"timeout":     "it went when the program was waiting for an answer",
	"ETIMEDOUT":   "it went when the program was connecting",
	"connect":     "one of these, says the program in its own words",
}

// fewVisits is how often a slow program may come by with always the same luck.
const fewVisits = 40

// judgeStorm checks that it was one.
func (s *storm) judgeStorm() {
	s.t.Helper()
	if s.fault != nil {
		s.t.Error(s.fault)
	}
	if s.arrived < s.arrivals || s.created < s.creations || s.changed < s.changes {
		s.t.Errorf("%d arrivals, %d re-creations, %d rule changes: no storm", s.arrived, s.created, s.changed)
	}
	total := map[string]int{}
	for _, r := range s.runners {
		if r.err != nil {
			s.t.Errorf("%v: %v", r, r.err)
		}
		refused := r.ends["ENODEV"] + r.ends["connect"]
		if r.ends["ok"]+refused >= fewVisits && (r.ends["ok"] == 0 || refused == 0) {
			s.t.Errorf("%v: should have arrived, and should have been refused: %v", r, r.ends)
		}
		for end, n := range r.ends {
			total[end] += n
			if end != "ok" && ends[end] == "" {
				s.t.Errorf("%v: %d times %q", r, n, end)
			}
		}
	}
	s.t.Logf("visits: %v", total)
}
