package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

const (
	// resolverUID is the user of resolvers: a system service, as on real hosts. They start as that user, since a
	// process that changes its user loses its parent-death signal and would outlive a killed lab.
	resolverUID = 991
	// resolverStart is how long a resolver may take until it answers.
	resolverStart = 10 * time.Second
)

// Resolver is a real caching resolver in the client namespace and the lab's cgroup, which forwards to the lab's DNS.
type Resolver struct {
	Addr netip.AddrPort // where it listens, by UDP and TCP
	PID  int
	UID  uint32

	cmd   *Cmd
	log   *bytes.Buffer
	ended chan struct{}
}

// StartDnsmasq starts dnsmasq (Debian: dnsmasq-base) on 127.0.0.1:53.
func (l *Lab) StartDnsmasq() (*Resolver, error) {
	return l.startResolver(loopback(1), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-",
		"--no-resolv", "--no-hosts", "--no-poll", "--pid-file=", "--bind-interfaces", "--listen-address=127.0.0.1",
		"--server="+l.DNS.Addr4.String(), "--cache-size=1000")
}

func loopback(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, last}), DNSPort)
}

// startResolver starts a program and waits until it answers at addr.
func (l *Lab) startResolver(addr netip.AddrPort, program string, args ...string) (*Resolver, error) {
	path, err := findProgram(program)
	if err != nil {
		return nil, err
	}
	cmd := l.Command(context.Background(), path, args...).AsUser(resolverUID)
	cmd.Dir = "/"
	return l.runResolver(addr, cmd)
}

func (l *Lab) runResolver(addr netip.AddrPort, cmd *Cmd) (*Resolver, error) {
	name := filepath.Base(cmd.Path)
	r := &Resolver{Addr: addr, UID: resolverUID, cmd: cmd, log: new(bytes.Buffer), ended: make(chan struct{})}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_BIND_SERVICE, unix.CAP_NET_RAW, unix.CAP_SETPCAP}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r.PID = cmd.Process.Pid
	go func() {
		_ = cmd.Wait()
		close(r.ended)
	}()
	if err := r.answers(l.Client); err != nil {
		r.Stop()
		return nil, fmt.Errorf("start %s: %w; it wrote:\n%s", name, err, r.log)
	}
	return r, nil
}

// answers waits for the first proper answer.
func (r *Resolver) answers(ns *Namespace) error {
	deadline := time.Now().Add(resolverStart)
	err := errors.New("no answer")
	for time.Now().Before(deadline) {
		select {
		case <-r.ended:
			return errors.New("ended")
		default:
		}
		if err = probe(ns, r.Addr); err == nil {
			return nil
		}
		time.Sleep(longestPoll)
	}
	return fmt.Errorf("does not answer within %v: %w", resolverStart, err)
}

// probe asks a server one question whose answer is that the name does not exist.
func probe(ns *Namespace, server netip.AddrPort) error {
	var c net.Conn
	err := ns.Do(func() (err error) { c, err = net.Dial("udp", server.String()); return err })
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
	conn := &dns.Conn{Conn: c}
	if err := conn.WriteMsg(new(dns.Msg).SetQuestion(probeName, dns.TypeA)); err != nil {
		return err
	}
	m, err := conn.ReadMsg()
	if err == nil && m.Rcode != dns.RcodeNameError {
		err = fmt.Errorf("answers %s", dns.RcodeToString[m.Rcode])
	}
	return err
}

// Stop ends the resolver. Those that are left end with the lab.
func (r *Resolver) Stop() {
	_ = r.cmd.Process.Kill()
	<-r.ended
}

// findProgram looks in PATH, then where system programs are.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	dirs := []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/systemd", "/lib/systemd"}
	i := slices.IndexFunc(dirs, func(dir string) bool {
		st, err := os.Stat(filepath.Join(dir, name))
		return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
	})
	if i < 0 {
		return "", fmt.Errorf("find %s: %w", name, exec.ErrNotFound)
	}
	return filepath.Join(dirs[i], name), nil
}
