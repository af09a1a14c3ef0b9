package lab

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxHits bounds the log; later hits are counted by nobody.
const maxHits = 1 << 17

// Hit is one arrival at a server: an accepted TCP connection or a UDP datagram.
type Hit struct {
	Server, Client netip.AddrPort
	Proto          string // "tcp" or "udp"
	Time           time.Time
}

type hitLog struct {
	mu   sync.Mutex
	hits []Hit
}

func (h *hitLog) add(proto string, server, client netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.hits) < maxHits {
		h.hits = append(h.hits, Hit{Server: unmap(server), Client: unmap(client), Proto: proto, Time: time.Now()})
	}
}

// Hits lists what has arrived at servers (not at DNS) since New or ResetHits, in order, at most 131,072 of them.
func (l *Lab) Hits() []Hit {
	l.hits.mu.Lock()
	defer l.hits.mu.Unlock()
	return slices.Clone(l.hits.hits)
}

// HitsOn lists the hits on one server address.
func (l *Lab) HitsOn(server netip.Addr) []Hit {
	return slices.DeleteFunc(l.Hits(), func(h Hit) bool { return h.Server.Addr() != server.Unmap() })
}

// ResetHits empties the log.
func (l *Lab) ResetHits() {
	l.hits.mu.Lock()
	defer l.hits.mu.Unlock()
	l.hits.hits = nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
