package udp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	quicPort  = 4433
	quicProto = "lab"
	ntpPort   = 123
	stunPort  = 3478
)

// listen opens a server's socket on the internet, closed with the test.
func (w *world) listen(t testing.TB, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	check(t, w.Internet.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// serve answers datagrams.
func (w *world) serve(t testing.TB, at netip.AddrPort, answer func(b []byte, from netip.AddrPort) []byte) {
	t.Helper()
	c := w.listen(t, at)
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			if a := answer(b[:n], from); a != nil {
				_, _ = c.WriteToUDPAddrPort(a, from) // a client may be gone
			}
		}
	}()
}

// ntpAnswer is that of a server of stratum 1 whose clock is this machine's (RFC 5905 section 7.3).
func ntpAnswer(b []byte, _ netip.AddrPort) []byte {
	if len(b) < 48 {
		return nil
	}
	const from1900 = 2208988800
	stamp := func(at []byte) {
		now := time.Now()
		binary.BigEndian.PutUint32(at, uint32(now.Unix()+from1900))
		binary.BigEndian.PutUint32(at[4:], uint32(uint64(now.Nanosecond())<<32/1e9))
	}
	a := make([]byte, 48)
	a[0], a[1], a[2], a[3] = b[0]&0x38|4, 1, b[2], 0xec
	binary.BigEndian.PutUint32(a[8:], 1<<8) // root dispersion: 4 ms
	copy(a[12:], "LAB")
	stamp(a[16:])
	copy(a[24:], b[40:48])
	stamp(a[32:])
	stamp(a[40:])
	return a
}

// stunAnswer tells the client its address, in the way of RFC 5389 and of RFC 3489.
func stunAnswer(b []byte, from netip.AddrPort) []byte {
	if len(b) < 20 || b[0] != 0 || b[1] != 1 || !from.Addr().Is4() {
		return nil
	}
	a := append([]byte{1, 1, 0, 24}, b[4:20]...)
	ip := from.Addr().As4()
	a = append(a, 0, 1, 0, 8, 0, 1)
	a = append(binary.BigEndian.AppendUint16(a, from.Port()), ip[:]...)
	a = append(a, 0, 0x20, 0, 8, 0, 1)
	a = binary.BigEndian.AppendUint16(a, from.Port()^binary.BigEndian.Uint16(b[4:]))
	for i := range ip {
		a = append(a, ip[i]^b[4+i])
	}
	return a
}

// serveQUIC answers each stream with the client's address.
func (w *world) serveQUIC(t testing.TB, at netip.AddrPort) {
	t.Helper()
	tr := &quic.Transport{Conn: w.listen(t, at)}
	l, err := tr.Listen(serverTLS(t), nil)
	check(t, err)
	t.Cleanup(func() { l.Close(); tr.Close() })
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					fmt.Fprintln(s, c.RemoteAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
					s.Close()
				}
			}()
		}
	}()
}

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
		NextProtos:   []string{quicProto},
	}
}
