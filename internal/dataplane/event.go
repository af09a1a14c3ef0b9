package dataplane

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

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
	EventRefused EventKind = "refused" // a rule cannot be followed: no interface, a socket with other peers
	EventFailed  EventKind = "failed"  // the kernel refused the binding or the mark
	EventLeak    EventKind = "leak"    // not steered, although its SNI has a rule
	EventUnruled EventKind = "unruled" // no rule concerns it
	EventLeft    EventKind = "left"    // the program's own binding or mark, another namespace's, to an own address
)

// Event is a name learnt, or what became of a connection or datagram. Of datagrams only what was decided anew: one that goes as those
// of its socket before it is none.
type Event struct {
	Time      time.Time
	Kind      EventKind
	Why       string // the counter's name: steered_by_address, no_interface, ...
	PID, UID  uint32 // of whom it counts for; learnt by tc or start: 0, 0
	Comm      string
	Name      pattern.Name // empty: none decides, or its text was evicted
	Address   netip.Addr
	Port      uint16       // learnt: 0
	Protocol  string       // "tcp", "udp"; learnt: ""
	Ruled     bool         // the rule is known: not so if the rule set was replaced right after, or a name's text was evicted
	Rule      ruleset.Rule // the one that decided; learnt: that the name has for such a user
	Interface string       // steered: where to
	Ifindex   int
	Mark      uint32
	TTL       time.Duration // learnt
	Observer  string        // learnt: sockets, libc, tc, audit; start, which looks names up
}

// eventKinds are those of the counters that verdicts count as.
var eventKinds = map[learnCounter]EventKind{
	learnCounterCOUNT_LEARNT: EventLearnt, learnCounterCOUNT_LEARNT_NO_RULE: EventLearnt,
	learnCounterCOUNT_STEERED: EventSteered, learnCounterCOUNT_STEERED_BY_ADDRESS: EventSteered,
	learnCounterCOUNT_STEERED_BY_DEFAULT: EventSteered, learnCounterCOUNT_KEPT: EventSteered,
	learnCounterCOUNT_MARKED: EventMarked,
	learnCounterCOUNT_DIRECT: EventDirect, learnCounterCOUNT_CHAIN_DIRECT: EventDirect,
	learnCounterCOUNT_BLOCKED:      EventBlocked,
	learnCounterCOUNT_NO_INTERFACE: EventRefused, learnCounterCOUNT_REBIND_REFUSED: EventRefused,
	learnCounterCOUNT_SHARED_SOCKET: EventRefused,
	learnCounterCOUNT_BIND_FAILED:   EventFailed,
	learnCounterCOUNT_AUDIT_LEAKED:  EventLeak,
	learnCounterCOUNT_UNKNOWN:       EventUnruled, learnCounterCOUNT_NO_RULE: EventUnruled, learnCounterCOUNT_KEPT_OLD: EventUnruled,
}

// eventSources are enum event_source in bpf/abi.h.
var eventSources = [...]string{"", "sockets", "libc", "tc", "start", "audit"}

// decode reads an event as the programs send it.
func (w *Watcher) decode(b []byte) (Event, bool) {
	if len(b) < int(unsafe.Sizeof(learnEvent{})) {
		return Event{}, false
	}
	raw := *(*learnEvent)(unsafe.Pointer(&b[0]))
	why, err := counterNames()
	if err != nil {
		return Event{}, false
	}
	e := Event{
		Time: w.clock.at(raw.Time), Why: why[uint32(raw.Counter)], PID: raw.Pid, UID: raw.Uid,
		Comm: unix.ByteSliceToString(raw.Comm[:]), Name: w.names.of(raw.Name),
		Address: netip.AddrFrom16(raw.Addr).Unmap(), Port: raw.Port,
	}
	e.Kind = eventKinds[learnCounter(raw.Counter)]
	if e.Kind == "" {
		e.Kind = EventLeft
	}
	if e.Kind == EventLearnt {
		w.decodeLearnt(&e, &raw)
		return e, true
	}
	e.Protocol = protocolName(raw.Protocol)
	if raw.Ruled == 0 {
		w.decodeUnruled(&e, &raw)
		return e, true
	}
	w.decodeRuled(&e, &raw)
	return e, true
}

func (w *Watcher) decodeRuled(e *Event, raw *learnEvent) {
	if e.Kind == EventMarked {
		e.Mark = raw.Mark
	}
	if e.Kind == EventSteered {
		e.Ifindex = int(raw.Ifindex)
	}
	k := w.books.of(raw.Generation)
	if k == nil {
		return
	}
	if e.Kind == EventSteered {
		if t, ok := k.targets[raw.Target]; ok && int(raw.Step) < len(t.Chain()) {
			e.Interface = t.Chain()[raw.Step]
		}
	}
	hit := learnHit{Rule: raw.Rule, Condition: raw.Condition, Target: uint16(raw.Target), How: uint16(raw.How)}
	if e.Name == "" && (hit.How == byName || hit.How == byNameBelow) {
		return
	}
	who := ruleset.Who{UID: raw.Uid}
	e.Rule, e.Ruled = k.ruleOf(hit, k.candidates(hit.How, e.Name, e.Address, who))
}

// decodeUnruled looks for a name that the address was learnt under, since connect does not where no rule is for it.
func (w *Watcher) decodeUnruled(e *Event, raw *learnEvent) {
	if raw.Name != 0 {
		return
	}
	scope := learnScope{Pid: raw.Pid, Uid: raw.Uid, Addr: raw.Addr}
	for _, from := range []string{learnMapUsersPlain, learnMapUsersPlain, learnMapHostPlain} {
		if from == learnMapHostPlain {
			scope.Uid = 0
		}
		set, err := readSet(w.system.maps[from], scope)
		if err != nil {
			return
		}
		var latest learnLearnt
		for _, l := range set.Names {
			if l.Name != 0 && l.Seen >= latest.Seen {
				latest = l
			}
		}
		if e.Name = w.names.of(latest.Name); e.Name != "" {
			return
		}
		scope.Pid = 0
	}
}

func (w *Watcher) decodeLearnt(e *Event, raw *learnEvent) {
	e.TTL = time.Duration(raw.Ttl) * time.Second
	if int(raw.Source) < len(eventSources) {
		e.Observer = eventSources[raw.Source]
	}
	if e.Comm == "" && e.PID != 0 {
		e.Comm = commOf(e.PID)
	}
	if raw.Ruled == 0 || e.Name == "" {
		return
	}
	if k := w.books.of(raw.Generation); k != nil {
		candidates := k.set.Candidates(e.Name, ruleset.Who{UID: raw.Uid})
		for _, c := range candidates {
			if c.Holds() {
				e.Rule, e.Ruled = c.Rule, true
				return
			}
		}
		if len(candidates) > 0 { // for others, or in a cgroup that is not known here
			e.Rule, e.Ruled = candidates[0].Rule, true
		}
	}
}

func protocolName(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	}
	return strconv.Itoa(int(number))
}

// commOf is a process's name; empty: it is gone.
func commOf(pid uint32) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/comm")
	return strings.TrimSuffix(string(b), "\n")
}

// clock turns boot times into times of day: asked anew each second, since that clock may be set.
type clock struct {
	asked time.Time
	boot  uint64
}

func (c *clock) at(boot uint64) time.Time {
	if now := time.Now(); now.Sub(c.asked) > time.Second || now.Before(c.asked) {
		c.asked, c.boot = now, bootTime()
	}
	return c.asked.Add(time.Duration(int64(boot - c.boot))).Round(0)
}
