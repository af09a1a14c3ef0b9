package udp

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// quicClient NAME...: dials them one after the other by one transport, and so by one unconnected socket, and then
// asks all of them once more by the connections it has. It prints a line for each: NAME, what the server saw or the error.
func quicClient(names []string) error {
	local, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	tr := &quic.Transport{Conn: local}
	defer tr.Close()
	conns := map[string]*quic.Conn{}
	for _, name := range names {
		began := time.Now()
		c, err := dialQUIC(tr, name)
		if err != nil {
			fmt.Printf("%s error: %v\n", name, err)
			continue
		}
		conns[name] = c
		fmt.Printf("%s %s %d\n", name, seenBy(c), time.Since(began).Milliseconds())
	}
	for _, name := range names {
		if c := conns[name]; c != nil {
			fmt.Printf("%s %s again\n", name, seenBy(c))
		}
	}
	for _, c := range conns {
		_ = c.CloseWithError(0, "") // done
	}
	return nil
}

func dialQUIC(tr *quic.Transport, name string) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	to, err := net.ResolveUDPAddr("udp4", fmt.Sprintf("%s:%d", name, quicPort))
	if err != nil {
		return nil, err
	}
	return tr.Dial(ctx, to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{quicProto}}, nil)
}

func seenBy(c *quic.Conn) string {
	s, err := c.OpenStream()
	if err != nil {
		return err.Error()
	}
	if _, err := s.Write([]byte("?")); err != nil { // a stream exists for the server with its first byte
		return err.Error()
	}
	_ = s.SetReadDeadline(time.Now().Add(3 * time.Second))
	line, err := bufio.NewReader(s).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(line)
}

// One QUIC transport, and so one socket, for several sites: none leaves by the wrong interface, and where a site is
// refused for another's sake, that one's connection goes on.
func TestQUICTransport(t *testing.T) {
	w := newWorld(t)
	for _, s := range []string{"bank", "bank2", "shop", "plain"} {
		w.siteServers(t, s)
		w.DNS.Set(s+".example", w.hosts[s].Addr4)
	}
	routeMarks(t, w)
	for _, c := range []struct{ rules, sites, want string }{
		{"", "bank plain", "vpn0 vpn0"},
		{"", "bank bank2 plain", "vpn0 vpn0 vpn0"},
		{"", "plain bank", "wan0 refused"},
		{"", "bank shop", "vpn0 refused"},
		{"mark", "bank shop plain", "vpn0 vpn1 wan0"},
	} {
		if c.rules == "mark" {
			w.Must("rule", "add", "bank.example", "mark:0x23")
			w.Must("rule", "add", "shop.example", "mark:0x24")
		}
		var names []string
		for _, s := range strings.Fields(c.sites) {
			names = append(names, s+".example")
		}
		w.ResetPackets()
		out := w.play(t, alice, "quic", names...)
		for i, want := range strings.Fields(c.want) {
			site := strings.Fields(c.sites)[i]
			left := strings.Join(w.leftTo(t, w.hosts[site].Addr4), " ")
			if want == "refused" {
				if left != "" || !strings.Contains(out, names[i]+" error:") {
					t.Errorf("%q: %s was not refused, packets left by %q:\n%s", c.sites, site, left, out)
				}
				continue
			}
			seen := names[i] + " " + w.Uplink(want).Addr4.String()
			if left != want || strings.Count(out, seen) != 2 {
				t.Errorf("%q: %s: packets left by %q, want %q twice:\n%s", c.sites, site, left, seen, out)
			}
		}
	}
}
