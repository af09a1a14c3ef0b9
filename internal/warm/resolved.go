package warm

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/pattern"
)

const (
	// monitorSocket and dumpCache: what `resolvectl show-cache` asks; systemd 254 and later, root alone.
	monitorSocket = "/run/systemd/resolve/io.systemd.Resolve.Monitor"
	dumpCache     = `{"method":"io.systemd.Resolve.Monitor.DumpCache","parameters":{}}` + "\x00"
	dumpMost      = 16 << 20 // bytes of an answer; a full cache takes about 2 MiB for each link
	chainMost     = 16       // aliases in a row, as many as systemd-resolved itself follows
)

// errCannotDump is when systemd-resolved is older than 254.
var errCannotDump = errors.New("too old to be asked")

// importResolved teaches what systemd-resolved has in its cache.
func (o Options) importResolved(ctx context.Context, found caches) Step {
	running := found.of(resolved)
	if len(running) == 0 {
		return Step{stepImport, "no systemd-resolved was found here", ""}
	}
	ctx, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	p, c, err := dialResolved(ctx, running)
	var facts []Fact
	if err == nil {
		facts, err = within(ctx, func() ([]Fact, error) { return askResolved(c) })
	}
	if errors.Is(err, errCannotDump) {
		instead := "it is flushed instead"
		if !o.Flush {
			instead = "names in its cache are known once they are asked for again"
		}
		return Step{stepImport, fmt.Sprintf("%s is older than 254 and cannot be asked; %s", p, instead), ""}
	}
	if err == nil {
		err = o.teach(ctx, facts)
	}
	if err != nil {
		return Step{stepImport, "not all of the cache of " + p.String() + " was taken over",
			err.Error() + "; what is missing is known once it is asked for again"}
	}
	return Step{stepImport, fmt.Sprintf("%s from %s", counted(distinct(facts), "name"), p), ""}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func distinct(facts []Fact) int {
	names := map[pattern.Name]bool{}
	for _, f := range facts {
		names[f.Name] = true
	}
	return len(names)
}

// dialResolved connects to one of those that run, and tells which.
func dialResolved(ctx context.Context, running caches) (process, net.Conn, error) {
	p := running[0]
	c, err := dialProcess(ctx, monitorSocket, func(peer *unix.Ucred) bool {
		i := slices.IndexFunc(running, func(p process) bool { return p.pid == int(peer.Pid) })
		if i >= 0 {
			p = running[i]
		}
		return i >= 0 || peer.Pid == 1 // systemd, which listens for it
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		err = errCannotDump
	}
	return p, c, err
}

// askResolved asks for the whole cache.
func askResolved(c net.Conn) ([]Fact, error) {
	defer c.Close()
	if _, err := io.WriteString(c, dumpCache); err != nil {
		return nil, fmt.Errorf("ask it: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(c, dumpMost)).ReadBytes(0)
	if err != nil {
		return nil, fmt.Errorf("its answer ends early: %w", err)
	}
	return readDump(answer[:len(answer)-1], bootTime())
}

// bootTime is the clock in which the cache says until when.
func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail
	return time.Duration(ts.Nano())
}

// dump is the answer to DumpCache.
type dump struct {
	Error      string
	Parameters struct {
		Dump []struct {
			Protocol string
			Cache    []struct {
				RRs   []struct{ Raw []byte } // base64 of a record in wire form, without compression
				Until uint64                 // microseconds
			}
		}
	}
}

// readDump reads the answer. Only what came by DNS counts: to mDNS and LLMNR anybody on the link answers.
func readDump(answer []byte, now time.Duration) ([]Fact, error) {
	var d dump
	if err := json.Unmarshal(answer, &d); err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	switch {
	case strings.HasPrefix(d.Error, "org.varlink.service.MethodNotFound"),
		strings.HasPrefix(d.Error, "org.varlink.service.InterfaceNotFound"):
		return nil, errCannotDump
	case d.Error != "":
		return nil, fmt.Errorf("it refuses: %.200q", d.Error)
	}
	z := zone{map[recordKey]record{}, map[pattern.Name]alias{}}
	for _, scope := range d.Parameters.Dump {
		if scope.Protocol != "dns" {
			continue
		}
		for _, entry := range scope.Cache {
			left := time.Duration(entry.Until)*time.Microsecond - now
			for _, rr := range entry.RRs {
				if left > 0 {
					z.add(rr.Raw, left)
				}
			}
		}
	}
	return z.facts(), nil
}

// zone is what a cache holds, by name.
type zone struct {
	records map[recordKey]record
	aliases map[pattern.Name]alias
}

type recordKey struct {
	name pattern.Name
	kind uint16 // A or AAAA
}

type record struct {
	addrs []netip.Addr
	left  time.Duration // of the one that ends first
}

type alias struct {
	to   pattern.Name
	left time.Duration
}

// add takes a record in; what is no address and no alias, or malformed, is passed over.
func (z zone) add(raw []byte, left time.Duration) {
	name, kind, data, ok := splitRecord(raw)
	if !ok {
		return
	}
	if kind == typeCNAME {
		if to, err := pattern.FromWire(data); err == nil {
			z.aliases[name] = alias{to, left}
		}
		return
	}
	addr, ok := netip.AddrFromSlice(data)
	if !ok || kind == typeA != (len(data) == 4) {
		return
	}
	key := recordKey{name, kind}
	r, there := z.records[key]
	if !there || left < r.left {
		r.left = left
	}
	r.addrs = append(r.addrs, addr)
	z.records[key] = r
}

// facts lists what every name has, aliases after what they stand for: of two names with rules on one address the
// latest counts, and the one that was asked for is the first of its chain.
func (z zone) facts() []Fact {
	type found struct {
		Fact
		depth int
	}
	var all []found
	for key, r := range z.records {
		all = append(all, found{Fact{key.name, teachable(r.addrs), r.left}, 0})
	}
	for name := range z.aliases {
		for _, kind := range []uint16{typeA, typeAAAA} {
			if r, depth := z.follow(name, kind); depth > 0 {
				all = append(all, found{Fact{name, teachable(r.addrs), r.left}, depth})
			}
		}
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.Name, b.Name), slices.CompareFunc(a.Addrs, b.Addrs, netip.Addr.Compare))
	})
	var facts []Fact
	for _, f := range all {
		if len(f.Addrs) > 0 {
			facts = append(facts, f.Fact)
		}
	}
	return facts
}

// follow finds the addresses at the end of a chain of aliases, and how long that is; 0 if it ends nowhere.
func (z zone) follow(name pattern.Name, kind uint16) (record, int) {
	var left time.Duration
	for depth := 1; depth <= chainMost; depth++ {
		a, ok := z.aliases[name]
		if !ok {
			return record{}, 0
		}
		if left == 0 || a.left < left {
			left = a.left
		}
		name = a.to
		if r, ok := z.records[recordKey{name, kind}]; ok {
			return record{r.addrs, min(left, r.left)}, depth
		}
	}
	return record{}, 0
}
