// Package audit tests that connections are found which were not steered although what they say in TLS has a rule.
package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// Users without privileges.
const (
	alice = 4242
	bob   = 4343
	proxy = 13 // a system user
)

const (
	tlsPort   = 443
	otherPort = 8443
	patience  = 20 * time.Second

	ruled = "ruled.example"
	plain = "plain.example"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envChild) {
	case "":
	case "hellos":
		os.Exit(exit(sendHellos()))
	default:
		os.Exit(exit(visitSite()))
	}
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// visit is a connection as the server saw it.
type visit struct {
	name   string // its SNI
	uplink string
}

// site is a server that speaks TLS on two ports of one address of each family.
type site struct {
	lab.Host
	h *harness.Host

	mu     sync.Mutex // guards what follows
	visits []visit
}

// newSite serves whatever name it is asked for, and is in nobody's DNS.
func newSite(t *testing.T, h *harness.Host) *site {
	t.Helper()
	s := &site{Host: h.MustHost(), h: h}
	conf := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"http/1.1"}, GetConfigForClient: s.hello}
	for _, a := range []netip.Addr{s.Addr4, s.Addr6} {
		for _, port := range []uint16{tlsPort, otherPort} {
			var l net.Listener
			check(t, h.Internet.Do(func() (err error) {
				l, err = tls.Listen("tcp", netip.AddrPortFrom(a, port).String(), conf)
				return err
			}))
			t.Cleanup(func() { l.Close() })
			go serve(l)
		}
	}
	return s
}

// serve answers each connection with a page, and ends it.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 4096)); err == nil {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok\n")
			}
		}()
	}
}

// hello logs a visit; no configuration stands for the one there is.
func (s *site) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	from, err := netip.ParseAddrPort(hello.Conn.RemoteAddr().String())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, visit{hello.ServerName, uplinkOf(s.h, from.Addr().Unmap())})
	return nil, err
}

// took returns the visits since it was asked last.
func (s *site) took() []visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.visits
	s.visits = nil
	return all
}

// expect fails the test unless there was exactly one visit since it was asked last, to the name and by the uplink.
func (s *site) expect(t *testing.T, name, uplink, why string) {
	t.Helper()
	if got := s.took(); len(got) != 1 || got[0] != (visit{name, uplink}) {
		t.Errorf("%s: the server saw %v, want one for %s by %s", why, got, name, uplink)
	}
}

func uplinkOf(h *harness.Host, a netip.Addr) string {
	for _, name := range []string{"wan0", "vpn0"} {
		if u := h.Uplink(name); a == u.Addr4 || a == u.Addr6 {
			return name
		}
	}
	return a.String()
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{ruled, plain}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// row is one leak as `status -o json` has it.
type row struct {
	Name     string
	Address  netip.Addr
	Port     uint16
	PID, UID uint32
	Comm     string
}

func leaks(h *harness.Host) []row {
	var data struct{ Leaks []row }
	h.JSON(&data, "status")
	return data.Leaks
}

// view is what the audit had counted when it was last looked at: read from the map, since that is done often.
type view struct {
	counters *ebpf.Map
	names    []string
	last     []uint64
}

func look(t *testing.T) *view {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(pins+"counters", nil)
	check(t, err)
	t.Cleanup(func() { m.Close() })
	v := &view{counters: m, names: counterNames(t)}
	v.last, err = countsOf(m, v.names)
	check(t, err)
	return v
}

// expect fails the test unless exactly these counters of the audit moved since it was looked at last, by one each.
func (v *view) expect(t *testing.T, why string, counters ...string) {
	t.Helper()
	now, err := countsOf(v.counters, v.names)
	check(t, err)
	got, want := moved(v.names, v.last, now), slices.Sorted(slices.Values(counters))
	v.last = now
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%s: counted %v, want %v", why, got, want)
	}
}

const envChild = "DOMAIN_ROUTE_AUDIT_CHILD"

// exit is a child's exit code.
func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// visitSite is a Go program that knows an address without asking anybody: ADDRESS NAME.
func visitSite() error {
	d := tls.Dialer{Config: &tls.Config{ServerName: os.Args[2], InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", os.Args[1])
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_, err2 := c.Read(make([]byte, 100))
	return errors.Join(err, err2, c.Close())
}
