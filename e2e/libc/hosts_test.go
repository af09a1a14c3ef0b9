package libc

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

var functions = []string{"getaddrinfo", "gethostbyname", "gethostbyname2", "gethostbyname_r", "gethostbyname2_r"}

// families are the addresses that a function gives: gethostbyname has no way to tell of IPv6.
func families(function string, s lab.Host) []netip.Addr {
	if strings.HasPrefix(function, "gethostbyname") && !strings.HasPrefix(function, "gethostbyname2") {
		return []netip.Addr{s.Addr4}
	}
	return []netip.Addr{s.Addr4, s.Addr6}
}

// started is a system that has names from /etc/hosts alone.
func started(t *testing.T, args ...string) *harness.Host {
	t.Helper()
	h := harness.Started(t, args...)
	if err := h.SetNSSwitch("files"); err != nil {
		t.Fatal(err)
	}
	h.DNS.ResetQuestions()
	return h
}

// TestHosts: names of /etc/hosts are steered, whatever function of whatever C library found them, and without it not.
func TestHosts(t *testing.T) {
	h := started(t)
	ruled, plain := h.MustHost(), h.MustHost()
	hosts(t, h, map[string]lab.Host{"www.ruled.example": ruled, "plain.example": plain})
	h.Must("rule", "add", "ruled.example", "vpn0")
	for name, p := range programs(t, h) {
		asked := "www.ruled.example"
		if name == "glibc" {
			asked = "WWW.Ruled.example" // musl would not find that in the file
		}
		for _, f := range functions {
			t.Run(name+"/"+f, func(t *testing.T) {
				h.ResetPackets()
				wantBy(t, h, p.visit(t, f, asked), "vpn0", families(f, ruled)...)
				nothingBy(t, h, "wan0", ruled.Addr4, ruled.Addr6)
				wantBy(t, h, p.visit(t, f, "plain.example"), "wan0", families(f, plain)...)
				nothingBy(t, h, "vpn0", plain.Addr4, plain.Addr6)
			})
		}
	}
	silent(t, h)
	for _, l := range h.Learnt() {
		if l.Level != "process" || l.UID != user || (l.Name != "www.ruled.example" && l.Name != "plain.example") || l.TTL > 60 {
			t.Errorf("learnt %+v", l)
		}
	}
	h.Must("start", "--observe", "sockets")
	for _, p := range programs(t, h) {
		wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "wan0", ruled.Addr4, ruled.Addr6)
	}
}

// TestPython: a program that nobody made for this test.
func TestPython(t *testing.T) {
	h := started(t)
	ruled := h.MustHost()
	hosts(t, h, map[string]lab.Host{"ruled.example": ruled})
	h.Must("rule", "add", "ruled.example", "vpn0")
	script := `import socket, sys
for family in socket.AF_INET, socket.AF_INET6:
    for info in socket.getaddrinfo("ruled.example", ` + strconv.Itoa(lab.EchoPort) + `, family, socket.SOCK_STREAM):
        with socket.socket(info[0]) as s:
            s.connect(info[4])
            print(info[4][0], s.recv(100).decode().strip())
print("done")`
	p := program{h: h, path: kit.Tool(t, "/usr/bin/python3", "python3")}
	wantBy(t, h, p.run(t, "-I", "-S", "-c", script), "vpn0", ruled.Addr4, ruled.Addr6)
	silent(t, h)
}

// TestThreads: look-ups side by side in one process are not mixed up.
func TestThreads(t *testing.T) {
	h := started(t)
	servers := map[string]lab.Host{}
	var ruled, plain []netip.Addr
	for i := range 16 {
		s := h.MustHost()
		if i%2 == 0 {
			servers[strconv.Itoa(i)+".x.ruled.example"] = s
			ruled = append(ruled, s.Addr4)
		} else {
			servers[strconv.Itoa(i)+".x.plain.example"] = s
			plain = append(plain, s.Addr4)
		}
	}
	hosts(t, h, servers)
	h.Must("rule", "add", "ruled.example", "vpn0")
	script := `import socket, threading
seen = []
def visit(name):
    for _ in range(100):
        socket.getaddrinfo(name, None)
    addr = socket.getaddrinfo(name, ` + strconv.Itoa(lab.EchoPort) + `, socket.AF_INET, socket.SOCK_STREAM)[0][4]
    with socket.create_connection(addr) as s:
        seen.append((addr[0], s.recv(100).decode().strip()))
threads = [threading.Thread(target=visit, args=("%d.x.%s.example" % (i, ("ruled", "plain")[i % 2]),)) for i in range(16)]
for t in threads: t.start()
for t in threads: t.join()
for s in seen: print(*s)
print("done")`
	got := program{h: h, path: kit.Tool(t, "/usr/bin/python3", "python3")}.run(t, "-I", "-S", "-c", script)
	if len(got) != 16 {
		t.Errorf("visited %v", got)
	}
	byVPN, byWAN := visits{}, visits{}
	for a, seen := range got {
		if slices.Contains(ruled, a) {
			byVPN[a] = seen
		} else {
			byWAN[a] = seen
		}
	}
	wantBy(t, h, byVPN, "vpn0", ruled...)
	wantBy(t, h, byWAN, "wan0", plain...)
	for _, l := range h.Learnt() {
		if s := servers[l.Name]; l.Address != s.Addr4 && l.Address != s.Addr6 {
			t.Errorf("learnt %+v, want an address of %+v", l, s)
		}
	}
}

// TestAskingProcessOnly: a second process of the same user, one of another and root are not moved.
func TestAskingProcessOnly(t *testing.T) {
	h := started(t)
	ruled := h.MustHost()
	hosts(t, h, map[string]lab.Host{"ruled.example": ruled})
	h.Must("rule", "add", "ruled.example", "vpn0")
	g, first := glibc(t, h).stay(t, "getaddrinfo", "ruled.example")
	wantBy(t, h, first, "vpn0", ruled.Addr4, ruled.Addr6)
	for _, uid := range []uint32{user, user + 1, 0} {
		a := h.MustAgent(lab.AgentOptions{UID: uid})
		got := visits{}
		for _, to := range []netip.Addr{ruled.Addr4, ruled.Addr6} {
			seen, err := a.DialTCP(netip.AddrPortFrom(to, lab.EchoPort))
			if err != nil {
				t.Fatal(err)
			}
			got[to] = seen
		}
		wantBy(t, h, got, "wan0", ruled.Addr4, ruled.Addr6)
	}
	wantBy(t, h, g.again(t), "vpn0", ruled.Addr4, ruled.Addr6)
}

// TestRuleLater: a name that was looked up before it got a rule.
func TestRuleLater(t *testing.T) {
	h := started(t)
	ruled := h.MustHost()
	hosts(t, h, map[string]lab.Host{"ruled.example": ruled})
	g, first := glibc(t, h).stay(t, "getaddrinfo", "ruled.example")
	wantBy(t, h, first, "wan0", ruled.Addr4, ruled.Addr6)
	h.Must("rule", "add", "ruled.example", "vpn0")
	if err := h.SetHosts("\n"); err != nil { // it can only go by what it learnt before
		t.Fatal(err)
	}
	wantBy(t, h, g.again(t), "vpn0", ruled.Addr4, ruled.Addr6)
}

// TestLearnsNothing: what is no name, and names whose addresses are not to be learnt. The counters tell why.
func TestLearnsNothing(t *testing.T) {
	h := started(t)
	s := h.MustHost()
	long := strings.Repeat("a", 64) + ".example"
	if err := h.SetHosts("127.0.0.1 localhost.example\nfe80::1 link.example\n" + s.Addr4.String() + " intranet b\u00fccher.example " + long + "\n"); err != nil {
		t.Fatal(err)
	}
	h.Must("rule", "add", "default", "direct")
	for name, p := range programs(t, h) {
		for _, c := range []struct{ host, counter string }{
			{s.Addr4.String(), "libc_no_name"},
			{s.Addr6.String(), "libc_no_name"},
			{"3325256705", "libc_no_name"},
			{"intranet", "libc_no_name"}, // may stand for a name with a search domain
			{"b\u00fccher.example", "libc_bad_name"},
			{long, "libc_bad_name"},
			{"localhost.example", "address_refused"},
			{"link.example", "address_refused"},
			{"missing.example", "libc_failed"},
			{"", "libc_failed"},
		} {
			if name == "musl" && (c.host == long || c.host == "b\u00fccher.example") {
				c.counter = "" // it does not look such names up, or does; nothing is learnt either way
			}
			before := h.Counters()
			p.visit(t, "getaddrinfo", c.host)
			after := h.Counters()
			if c.counter != "" && after[c.counter] <= before[c.counter] {
				t.Errorf("%s, %q: %s stays %d", name, c.host, c.counter, after[c.counter])
			}
		}
	}
	if l := h.Learnt(); len(l) > 0 {
		t.Errorf("learnt %+v", l)
	}
}

// TestForms: a name of one label counts where it has a rule; a final dot does not matter.
func TestForms(t *testing.T) {
	h := started(t)
	s, dotted := h.MustHost(), h.MustHost()
	hosts(t, h, map[string]lab.Host{"intranet": s, "www.ruled.example.": dotted})
	h.Must("rule", "add", "intranet", "vpn0")
	h.Must("rule", "add", "ruled.example", "vpn0")
	p := glibc(t, h)
	wantBy(t, h, p.visit(t, "getaddrinfo", "intranet"), "vpn0", s.Addr4, s.Addr6)
	wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example."), "vpn0", dotted.Addr4, dotted.Addr6)
}

// TestManyAddresses: 64 are learnt, what is beyond is counted.
func TestManyAddresses(t *testing.T) {
	h := started(t)
	var text strings.Builder
	for range 70 {
		s := h.MustHost()
		text.WriteString(s.Addr4.String() + " many.example\n")
	}
	if err := h.SetHosts(text.String()); err != nil {
		t.Fatal(err)
	}
	h.Must("rule", "add", "many.example", "vpn0")
	got := glibc(t, h).visit(t, "getaddrinfo", "many.example")
	byVPN := 0
	for _, seen := range got {
		if seen == h.Uplink("vpn0").Addr4.String() {
			byVPN++
		}
	}
	if len(got) != 70 || byVPN != 64 || len(h.Learnt()) != 64 || h.Counters()["libc_cut"] != 1 {
		t.Errorf("visited %d, steered %d, learnt %d, cut %d", len(got), byVPN, len(h.Learnt()), h.Counters()["libc_cut"])
	}
}

// TestOutside: a process outside of the cgroup teaches nothing, one in a cgroup below does.
func TestOutside(t *testing.T) {
	h := started(t)
	s := h.MustHost()
	hosts(t, h, map[string]lab.Host{"ruled.example": s})
	h.Must("rule", "add", "ruled.example", "vpn0")
	p := glibc(t, h)
	cmd := p.outside()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if l := h.Learnt(); len(l) > 0 {
		t.Errorf("learnt from outside: %+v", l)
	}
	if n := h.Counters()["libc_outside"]; n == 0 {
		t.Error("not counted")
	}
	below := p.below(t, "a/b/c")
	if out, err := below.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := h.Names(s.Addr4)
	if !slices.Equal(names, []string{"ruled.example"}) {
		t.Errorf("from a cgroup below: %v", names)
	}
}
