package audit

import (
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// tlsHello is what crypto/tls begins with.
func tlsHello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Client(near, c).Handshake() }()
	b := make([]byte, 1<<14)
	n, err := far.Read(b)
	check(t, err)
	return b[:n]
}

// generator makes hellos, most of them right.
type generator struct{ *rand.Rand }

func (g generator) chance(oneIn int) bool { return g.IntN(oneIn) == 0 }

func (g generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func pick[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

// vector puts a length of so many bytes before b, at times a wrong one.
func (g generator) vector(bytes int, b []byte) []byte {
	n := len(b)
	if g.chance(400) {
		n += pick(g, -n, -1, 1, 2, 100, 1<<15)
	}
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	return append(append([]byte{}, head[4-bytes:]...), b...)
}

func (g generator) label() string {
	const letters = "abcxyzABCXYZ0129-_"
	b := make([]byte, pick(g, 1, 2, 3, 5, 8, 9, 16, 62, 63))
	for i := range b {
		b[i] = letters[g.IntN(len(letters))]
	}
	return string(b)
}

// name is below ruled mostly.
func (g generator) name() string {
	var labels []string
	for range g.IntN(4) {
		labels = append(labels, g.label())
	}
	s := strings.Join(append(labels, ruled), ".")
	switch g.IntN(60) {
	case 0:
		s += "."
	case 1:
		s = pick(g, "192.0.2.1", "::1", "2001:db8::1", ".", "..", "a..b", ".a", "x", "EXAMPLE", "1", "a.1")
	case 2:
		s = strings.Repeat("a.", 100+g.IntN(40)) + ruled
	case 3:
		b := []byte(s)
		b[g.IntN(len(b))] = pick[byte](g, 0, ' ', '/', 0x7f, 0xc3, '@', '[', '`', '{', ':', '*')
		s = string(b)
	case 4:
		s = strings.Repeat("a", 60+g.IntN(8)) + "." + s
	}
	return s
}

func (g generator) serverName(name string) []byte {
	entry := append([]byte{0}, g.vector(2, []byte(name))...)
	switch g.IntN(100) {
	case 0:
		entry[0] = byte(g.IntN(256))
	case 1:
		entry = append(entry, append([]byte{0}, g.vector(2, []byte("second.example"))...)...)
	case 2:
		entry = entry[:g.IntN(len(entry)+1)]
	}
	return g.vector(2, entry)
}

// extension is one of any kind but the server's name: GREASE, padding, key shares as large as browsers' for quantum computers.
func (g generator) extension() []byte {
	kind := pick(g, 0x0a0a, 0xfafa, 10, 11, 13, 16, 21, 23, 27, 35, 43, 45, 51, 0x4469, 0xfe0d, 0xff01)
	b := binary.BigEndian.AppendUint16(nil, uint16(kind))
	return append(b, g.vector(2, g.bytes(pick(g, 0, 0, 1, 2, 5, 14, 32, 200, 1263)))...)
}

func (g generator) extensions(name string) []byte {
	n := pick(g, 0, 1, 3, 8, 16, 16, 20)
	if g.chance(50) {
		n = 60 + g.IntN(10)
	}
	at := g.IntN(n + 1)
	var b []byte
	for i := range n + 1 {
		if i == at && !g.chance(40) {
			b = append(append(b, 0, 0), g.vector(2, g.serverName(name))...)
		}
		if i < n {
			b = append(b, g.extension()...)
		}
	}
	return b
}

func (g generator) hello(name string) []byte {
	b := append([]byte{3, 3}, g.bytes(32)...)
	b = append(b, g.vector(1, g.bytes(pick(g, 0, 32, 32, 8)))...)
	ciphers := g.bytes(2 * (1 + g.IntN(40)))
	if g.chance(200) { // half a cipher, or none
		ciphers = ciphers[:pick(g, 0, len(ciphers)-1)]
	}
	b = append(b, g.vector(2, ciphers)...)
	b = append(b, g.vector(1, []byte{0})...)
	if !g.chance(100) {
		b = append(b, g.vector(2, g.extensions(name))...)
	}
	return b
}

// packet is the first packet of a connection.
func (g generator) packet() []byte {
	message := append([]byte{1}, g.vector(3, g.hello(g.name()))...)
	b := append([]byte{22, 3, pick[byte](g, 1, 1, 1, 3, 0, 4)}, g.vector(2, message)...)
	switch g.IntN(40) {
	case 0: // in two records
		cut := 1 + g.IntN(len(message)-1)
		b = append([]byte{22, 3, 1}, binary.BigEndian.AppendUint16(nil, uint16(cut))...)
		b = append(append(b, message[:cut]...), 22, 3, 1)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(message)-cut)), message[cut:]...)
	case 1: // more behind it
		b = append(b, g.bytes(g.IntN(300))...)
	case 2, 3, 4:
		b = b[:1+g.IntN(len(b))]
	case 5, 6, 7:
		for range 1 + g.IntN(3) {
			b[g.IntN(min(len(b), pick(g, 10, 100, 5000)))] ^= byte(1 << g.IntN(8))
		}
	}
	return b
}
