package threats

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/internal/lab"
)

// envChild makes this test binary another program: the value tells which. envTask is what it has to do.
const (
	envChild = "DOMAIN_ROUTE_THREATS_CHILD"
	envTask  = "DOMAIN_ROUTE_THREATS_TASK"
)

// task is what a child does: ask servers, in every way, for names; connect somewhere; open a map.
type task struct {
	Servers []netip.AddrPort
	Names   []string
	Connect []netip.AddrPort
	Pin     string // of a map to open
	// A flood asks for f0.Names[0] up to f<Last-1>.Names[0], each so many times.
	Last, Times int
}

// child runs in a process of its own and returns its exit code. What it prints is for the test.
func child(mode string) int {
	var t task
	if err := json.Unmarshal([]byte(os.Getenv(envTask)), &t); err != nil {
		fmt.Fprintln(os.Stderr, "task:", err)
		return 2
	}
	var err error
	switch mode {
	case "probe":
		err = probe(t)
	case "tree":
		err = again("probe", nil)
	case "unshare":
		id := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		err = again("fake", &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, UidMappings: id, GidMappings: id,
		})
	case "fake":
		err = fake(t)
	case "open":
		err = openMap(t.Pin)
	case "flood":
		err = flood(t)
	default:
		err = errors.New("no such child: " + mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, mode+":", err)
		return 1
	}
	return 0
}

// again runs this binary as a child of the child.
func again(mode string, attr *syscall.SysProcAttr) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"="+mode)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, attr
	return cmd.Run()
}

// fake is the whole attack of T4: a loopback of its own, a server on it, and the questions to it.
func fake(t task) error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	for _, s := range t.Servers {
		if err := serveEvil(s); err != nil {
			return err
		}
	}
	return probe(t)
}

// serveEvil answers every question with the evil address, in this thread's network namespace.
func serveEvil(addr netip.AddrPort) error {
	udp, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", addr.String())
	if err != nil {
		return err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		r.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: evil.AsSlice(),
		}}
		_ = w.WriteMsg(r) // the client may be gone
	})
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		s.Handler = handler
		go func() { _ = s.ActivateAndServe() }() // until the process ends
	}
	return nil
}

// probe prints "resolved NAME" for each answer with an address, and "seen ADDRESS" for each connection to an echo server.
func probe(t task) error {
	for _, server := range t.Servers {
		for _, name := range t.Names {
			for _, ask := range []func(*dns.Msg, netip.AddrPort) (*dns.Msg, error){byUDP, byTCP, byUnconnectedUDP} {
				r, err := ask(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), server)
				if err != nil {
					return err
				}
				if len(r.Answer) > 0 {
					fmt.Println("resolved", name)
				}
			}
		}
	}
	for _, to := range t.Connect {
		c, err := net.DialTimeout("tcp", to.String(), time.Second)
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Println("seen", strings.TrimSpace(line))
		c.Close()
	}
	return nil
}

func byUDP(m *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	r, _, err := (&dns.Client{Net: "udp"}).Exchange(m, server.String())
	return r, err
}

func byTCP(m *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, server.String())
	return r, err
}

func byUnconnectedUDP(m *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	b, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := c.WriteToUDPAddrPort(b, server); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return nil, err
	}
	answer := make([]byte, 65536)
	n, _, err := c.ReadFromUDPAddrPort(answer)
	if err != nil {
		return nil, err
	}
	r := new(dns.Msg)
	return r, r.Unpack(answer[:n])
}

// floodWindow is how many questions a flood has outstanding at once.
const floodWindow = 32

// flood asks for each name, as often in a row as it is told, as fast as it can, by one connected socket. Answers may come in
// any order and may get lost; it prints how many came.
func flood(t task) error {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(t.Servers[0]))
	if err != nil {
		return err
	}
	b := make([]byte, 65536)
	answers := 0
	last := t.Last * t.Times
	for i := 0; i < last; i += floodWindow {
		n := min(floodWindow, last-i)
		for j := range n {
			q := ask(uint16(i+j), wireName(fmt.Sprintf("f%d.%s", (i+j)/t.Times, t.Names[0])), dns.TypeA, dns.ClassINET)
			opt := rawRecord([]byte{0}, dns.TypeOPT, 4096, 0, 0, nil) // the class is the size of answers taken
			if _, err := c.Write(q.message(flagsQuery, [4]uint16{1, 0, 0, 1}, q.question, opt)); err != nil {
				return err
			}
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		for range n {
			if _, err := c.Read(b); err != nil {
				break
			}
			answers++
		}
	}
	fmt.Println("answers", answers)
	return nil
}

// childCommand gives a command of the lab its mode and task.
func childCommand(cmd *lab.Cmd, mode string, t task) *lab.Cmd {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // a task is made of strings and addresses
	}
	cmd.Env = append(os.Environ(), envChild+"="+mode, envTask+"="+string(text))
	cmd.Dir = "/"
	return cmd
}
