package threats

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// runChild runs this binary as another program and returns the lines it printed.
func runChild(t *testing.T, cmd *lab.Cmd, mode string, what task) []string {
	t.Helper()
	out, err := childCommand(cmd, mode, what).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", mode, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// sameLines fails unless a child printed exactly n times the same.
func sameLines(t *testing.T, got []string, line string, n int) {
	t.Helper()
	if len(got) != n || strings.Count(strings.Join(got, "\n"), line) != n {
		t.Fatalf("the child printed %q, want %d times %q: the test tests nothing", got, n, line)
	}
}

// T4: a user without privileges makes a network namespace, is root in it, and answers himself for the bank.
// Defence: the namespace cookie in note_asker(), and no answer is read for a socket without asker.
func TestUnprivilegedNamespace(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	v := look(h)
	cmd := h.Command(context.Background(), "/proc/self/exe").AsUser(alice)
	got := runChild(t, cmd, "unshare", task{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")},
		Names:   []string{"bank.example", "www.bank.example"},
	})
	sameLines(t, got, "resolved", 2*2*3)
	if got := v.learntSince(); len(got) > 0 {
		t.Errorf("learnt %q", got)
	}
	moved := v.moved("question", "answer", "learnt")
	if moved["questions"] > 0 || moved["answers"] > 0 || moved["question_foreign"] < 12 || moved["answer_not_home"] < 12 {
		t.Errorf("counters: %v", moved)
	}
}

// otherNamespace is a network namespace that is nobody's home, with these addresses, an evil name server at the first
// and echo servers at all. Nothing leads out.
func otherNamespace(t *testing.T, addrs ...netip.Addr) *lab.Namespace {
	t.Helper()
	ns, err := lab.NewNamespace()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	lo, err := ns.NL.LinkByName("lo")
	check(t, err)
	for _, a := range addrs {
		mask := net.CIDRMask(a.BitLen(), a.BitLen())
		check(t, ns.NL.AddrAdd(lo, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: mask}, Flags: unix.IFA_F_NODAD}))
	}
	check(t, ns.Do(func() error {
		if err := serveEvil(port(addrs[0], lab.DNSPort)); err != nil {
			return err
		}
		return serveEcho(t)
	}))
	return ns
}

// serveEcho says to every connection, in this thread's network namespace, from where it came.
func serveEcho(t *testing.T) error {
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", lab.EchoPort))
	if err != nil {
		return err
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
			c.Close()
		}
	}()
	return nil
}

// Another namespace's sockets are never touched and teach nothing, even those of root in the same cgroup.
// Defence: the namespace cookies in note_asker() and steer().
func TestOtherNamespace(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "nowhere.example", "block")
	bank, nowhere := h.MustHost("bank.example"), h.MustHost("nowhere.example")
	ns := otherNamespace(t, h.DNS.Addr4, bank.Addr4, bank.Addr6, nowhere.Addr4)
	home := h.MustAgent(lab.AgentOptions{})
	for _, name := range []string{"bank.example", "nowhere.example"} {
		resolve(t, home, lab.Query{Name: name})
	}
	resolve(t, home, lab.Query{Name: "bank.example", Type: dns.TypeAAAA})
	foreign := h.MustAgent(lab.AgentOptions{NS: ns})
	v := look(h)
	for _, a := range []netip.Addr{bank.Addr4, bank.Addr6, nowhere.Addr4} {
		expectTCP(t, h, foreign, a, a.String(), "another namespace")
	}
	if moved := v.moved("left_", "steered", "blocked", "no_interface"); moved.String() != "left_foreign=3" {
		t.Errorf("counters: %v", moved)
	}
	for _, q := range []lab.Query{{}, {Unconnected: true}, {Proto: "tcp"}} {
		q.Name = "evil.bank.example"
		resolve(t, foreign, q)
	}
	if got := v.learntSince(); len(got) > 0 {
		t.Errorf("learnt %q", got)
	}
	expectTCP(t, h, home, bank.Addr4, "vpn0", "home")
}

// bridged makes a container's network: a namespace behind a bridge of the client, which forwards for it.
func bridged(t *testing.T, h *harness.Host) *lab.Namespace {
	t.Helper()
	ns, err := lab.NewNamespace()
	check(t, err)
	t.Cleanup(func() { check(t, ns.Close()) })
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	check(t, h.Client.NL.LinkAdd(br))
	check(t, h.Client.NL.LinkSetUp(br))
	check(t, h.Client.NL.AddrAdd(br, &netlink.Addr{IPNet: prefix("192.168.77.1/24")}))
	check(t, h.Client.NL.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "cont0", MasterIndex: br.Index}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns.Fd()),
	}))
	cont, err := h.Client.NL.LinkByName("cont0")
	check(t, err)
	check(t, h.Client.NL.LinkSetUp(cont))
	eth, err := ns.NL.LinkByName("eth0")
	check(t, err)
	check(t, ns.NL.AddrAdd(eth, &netlink.Addr{IPNet: prefix("192.168.77.2/24")}))
	check(t, ns.NL.LinkSetUp(eth))
	check(t, ns.NL.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: net.IPv4(192, 168, 77, 1)}))
	check(t, h.Client.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	check(t, h.Internet.NL.RouteAdd(&netlink.Route{Dst: prefix("192.168.77.0/24"), Gw: h.Uplink("wan0").Addr4.AsSlice()}))
	eventually(t, "the container's link runs", func() bool {
		link, err := ns.NL.LinkByName("eth0")
		here, err2 := h.Client.NL.LinkByName("br0")
		return err == nil && err2 == nil && link.Attrs().OperState == netlink.OperUp && here.Attrs().OperState == netlink.OperUp
	})
	return ns
}

func prefix(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// T9: containers in namespaces of their own, whose DNS and connections this host forwards. Neither inside our cgroup nor
// outside do they teach this host anything with the observer `sockets`; nor are they steered, although the
// host knows the bank. Defence: the namespace cookies in note_asker() and steer(), and cgroup_skb instead of tc.
func TestContainers(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	bank := h.MustHost("bank.example", "www.bank.example")
	ns := bridged(t, h)
	home := h.MustAgent(lab.AgentOptions{})
	resolve(t, home, lab.Query{Name: "bank.example"})
	subsub := filepath.Join(h.Cgroup, "machine", "container")
	check(t, os.MkdirAll(subsub, 0o755))
	dir, err := os.Open(subsub)
	check(t, err)
	defer dir.Close()
	what := task{
		Servers: []netip.AddrPort{port(h.DNS.Addr4, lab.DNSPort)},
		Names:   []string{"www.bank.example"},
		Connect: []netip.AddrPort{port(bank.Addr4, lab.EchoPort)},
	}
	for _, c := range []struct {
		what string
		cmd  *lab.Cmd
	}{
		{"in a cgroup below", h.CommandIn(context.Background(), ns, "/proc/self/exe").InCgroup(dir)},
		{"outside the cgroup", h.CommandIn(context.Background(), ns, "/proc/self/exe")},
		{"user's", h.CommandIn(context.Background(), ns, "/proc/self/exe").InCgroup(dir).AsUser(alice)},
	} {
		h.ResetPackets()
		v := look(h)
		c.cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
		got := runChild(t, c.cmd, "tree", what)
		if want := "resolved www.bank.example|resolved www.bank.example|resolved www.bank.example|seen 192.168.77.2"; strings.Join(got, "|") != want {
			t.Fatalf("%s: the container printed %q", c.what, got)
		}
		if got := v.learntSince(); len(got) > 0 {
			t.Errorf("%s: learnt %q", c.what, got)
		}
		if n, err := h.UplinkPackets("vpn0", bank.Addr4); n != 0 || err != nil {
			t.Errorf("%s: %d packets by vpn0, %v", c.what, n, err)
		}
		if moved := v.moved("steered", "learnt", "answers", "questions"); len(moved) > 0 {
			t.Errorf("%s: counters %v", c.what, moved)
		}
	}
	// A process tree in a sub-cgroup and in namespaces of its own, but on the host's network, is of the host.
	cmd := h.CommandIn(context.Background(), h.Client, "/proc/self/exe").InCgroup(dir)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	got := runChild(t, cmd, "tree", what)
	if want := "seen " + h.Uplink("vpn0").Addr4.String(); got[len(got)-1] != want {
		t.Errorf("a service's process tree printed %q, want %q last", got, want)
	}
}

// The other side of T9: whoever asks for it, by the observer `tc`, learns what is forwarded.
func TestForwardedOptIn(t *testing.T) {
	h := harness.New(t, lab.Options{})
	ns := bridged(t, h)
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:br0")
	h.Must("rule", "add", "bank.example", "vpn0")
	bank := h.MustHost("bank.example")
	runChild(t, h.CommandIn(context.Background(), ns, "/proc/self/exe"), "probe", task{
		Servers: []netip.AddrPort{port(h.DNS.Addr4, lab.DNSPort)}, Names: []string{"bank.example"},
	})
	expectTCP(t, h, h.MustAgent(lab.AgentOptions{UID: alice}), bank.Addr4, "vpn0", "learnt from a container")
}
