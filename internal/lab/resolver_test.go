package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestResolvers(t *testing.T) {
	for name, start := range map[string]func(*Lab) (*Resolver, error){
		"dnsmasq":  (*Lab).StartDnsmasq,
		"unbound":  (*Lab).StartUnbound,
		"resolved": (*Lab).StartResolved,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{})
			r, err := start(l)
			if errors.Is(err, exec.ErrNotFound) && os.Getenv("DOMAIN_ROUTE_NO_SKIP") != "1" {
				t.Skip(err)
			}
			check(t, err)
			checkResolver(t, l, r)
		})
	}
}

func checkResolver(t *testing.T, l *Lab, r *Resolver) {
	v4, v6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:1::7")
	l.DNS.Set("both.example", v4, v6)
	if qs := l.DNS.Questions(); slices.ContainsFunc(qs, func(q Question) bool { return q.Name == probeName }) {
		t.Errorf("the probe is logged: %v", qs)
	}
	a := newAgent(t, l, AgentOptions{UID: 65534})
	for range 2 {
		for _, proto := range []string{"udp", "tcp"} {
			ans, err := a.Resolve(Query{Name: "both.example", Server: r.Addr, Proto: proto})
			if err != nil || !slices.Equal(ans.Addrs, []netip.Addr{v4}) {
				t.Errorf("A by %s: %v, %v", proto, ans, err)
			}
			ans, err = a.Resolve(Query{Name: "both.example", Type: dns.TypeAAAA, Server: r.Addr, Proto: proto})
			if err != nil || !slices.Equal(ans.Addrs, []netip.Addr{v6}) {
				t.Errorf("AAAA by %s: %v, %v", proto, ans, err)
			}
		}
	}
	asked := 0
	for _, q := range l.DNS.Questions() {
		if canonical(q.Name) == "both.example." && q.Type == dns.TypeA {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("forwarded %d times, want 1: the rest from its cache", asked)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID))
	check(t, err)
	if !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", r.UID)) {
		t.Error("runs as another user")
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", r.PID))
	check(t, err)
	if !strings.Contains(string(groups), labPrefix) {
		t.Error("runs outside the lab's cgroup")
	}
}

func TestNSSResolve(t *testing.T) {
	l := newLab(t, Options{})
	_, err := l.StartResolved()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("DOMAIN_ROUTE_NO_SKIP") != "1" {
		t.Skip(err)
	}
	check(t, err)
	libs, err := ResolvedLibraries()
	check(t, err)
	check(t, l.SetNSSwitch("resolve [!UNAVAIL=return] dns"))
	check(t, l.SetResolver(netip.MustParseAddr("192.0.2.99"))) // nobody is there: dns cannot help
	h := newHost(t, l)
	l.DNS.Set("name.example", h.Addr4)
	cmd := l.Command(t.Context(), "getent", "ahostsv4", "name.example").AsUser(65534)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(string(out), h.Addr4.String()+" ") {
		t.Errorf("getent: %q, %v", out, err)
	}
}
