package main

import (
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

const askTimeout = 2 * time.Second

// askNames asks the server at Addr for the IPv4 addresses of each name in turn, by UDP, each over a fresh socket, and
// returns how many addresses came.
func askNames(o order) (outcome, error) {
	var done outcome
	for _, name := range o.Names {
		n, err := ask(o.Addr.String(), name)
		if err != nil {
			return done, fmt.Errorf("%s: %w", name, err)
		}
		done.Count += n
	}
	return done, nil
}

func ask(server, name string) (int, error) {
	c, err := net.Dial("udp", server)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return 0, err
	}
	conn := &dns.Conn{Conn: c, UDPSize: 4096}
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).SetEdns0(4096, false)
	if err := conn.WriteMsg(q); err != nil {
		return 0, err
	}
	m, err := conn.ReadMsg()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, rr := range m.Answer {
		if _, ok := rr.(*dns.A); ok {
			n++
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("no address in the answer, %s", dns.RcodeToString[m.Rcode])
	}
	return n, nil
}
