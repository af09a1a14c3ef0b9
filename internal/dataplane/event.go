package dataplane

import (
	"net/netip"
	"time"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// An EventKind is what happened.
type EventKind string

// The kinds of event. The last two come only with WatchOptions.All.
const (
	EventLearnt  EventKind = "learnt"  // a name, for an address
	EventSteered EventKind = "steered" // bound to an interface
	EventMarked  EventKind = "marked"
	EventDirect  EventKind = "direct"  // a rule leaves it alone
	EventBlocked EventKind = "blocked" // a rule refuses it
	EventRefused EventKind = "refused" // there is a rule, and it cannot be followed: no interface, a socket with other peers
	EventFailed  EventKind = "failed"  // the kernel refused the binding or the mark
	EventLeak    EventKind = "leak"    // not steered, although its SNI has a rule
	EventUnruled EventKind = "unruled" // no rule concerns it
	EventLeft    EventKind = "left"    // the program's own binding or mark, another namespace's, to an own address
)

// Event is a name learnt, or what became of a connection or datagram.
type Event struct {
	Time      time.Time
	Kind      EventKind
	Why       string // the counter's name: steered_by_address, no_interface, ...
	PID, UID  uint32 // of whom it counts for; learnt by tc: 0, 0
	Comm      string
	Name      pattern.Name // empty: none decides, or its text was evicted
	Address   netip.Addr
	Port      uint16 // learnt: 0
	Protocol  string // "tcp", "udp"; learnt: ""
	Ruled     bool
	Rule      ruleset.Rule // the one that decides (learnt: that the name has), if Ruled
	Interface string       // steered: where to
	Ifindex   int
	Mark      uint32
	TTL       time.Duration // learnt
	Observer  string        // learnt: sockets, libc, tc, audit
}
