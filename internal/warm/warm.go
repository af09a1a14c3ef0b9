// Package warm makes a fresh start know what was resolved before it: it imports systemd-resolved's cache, has caches
// forget, and looks up the names of rules. Nothing of it is needed for steering, so nothing of it fails a start.
package warm

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/domain-route/domain-route/internal/pattern"
)

// How long things may take. Together they stay within Limit, by which Run gives up whatever still runs.
const (
	Limit       = 3 * time.Second
	importTime  = 500 * time.Millisecond // 4,000 names take 100 to 200 ms
	flushTime   = 500 * time.Millisecond // each cache; all at once
	lookUpTime  = 1800 * time.Millisecond
	lookUpTTL   = time.Minute // what a look-up teaches: Go's resolver does not tell the TTL
	lookUpsOnce = 8           // at a time
	lookUpMost  = 100         // names
)

// The steps.
const (
	stepImport = "import"
	stepFlush  = "flush"
	stepLookUp = "look-up"
)

// Step is what became of one step. A flush has one for each cache.
type Step struct {
	Step   string `json:"step"` // import, flush, look-up
	Result string `json:"result"`
	Error  string `json:"error,omitempty"` // with what to do about it
}

// String is the line that reports the step.
func (s Step) String() string {
	if s.Error == "" {
		return s.Step + ": " + s.Result
	}
	return s.Step + ": " + s.Result + ": " + s.Error
}

// Fact is that a name has addresses.
type Fact struct {
	Name  pattern.Name
	Addrs []netip.Addr
	TTL   time.Duration
}

// Options say what to do. The functions may be abandoned when time is over, so that they must not use what ends with Run.
type Options struct {
	// Flush has caches forget.
	Flush bool
	// Names gives those of the rules; see Choose.
	Names func() (Choice, error)
	// Teach has the host learn, and stops early when the context ends.
	Teach func(context.Context, []Fact) error
}

// Run takes the steps in order and reports each as it is done. The import comes before the flush that empties what it
// reads; the look-ups come last, so that they are not answered from what is about to be forgotten.
func Run(ctx context.Context, o Options, report func(Step)) {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	found, hidden, err := findCaches()
	if err == nil {
		report(o.importResolved(ctx, found))
		for _, s := range o.flush(ctx, found) {
			report(s)
		}
	}
	if s := notSeen(hidden, err); s != nil {
		report(*s)
	}
	report(o.lookUp(ctx))
}

// notSeen says that there may be more caches than were found; nil: there are not.
func notSeen(hidden int, err error) *Step {
	switch {
	case err != nil:
		return &Step{stepFlush, "no resolvers that cache were looked for", err.Error() + "; restart those that programs here ask"}
	case hidden > 0:
		return &Step{stepFlush, fmt.Sprintf("%d that call themselves resolvers could not be looked at", hidden),
			"root needs CAP_SYS_PTRACE; restart those that programs here ask"}
	}
	return nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// teach has the host learn, within the context's time.
func (o Options) teach(ctx context.Context, facts []Fact) error {
	if len(facts) == 0 {
		return nil
	}
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, o.Teach(ctx, facts) })
	return err
}

// within runs f and stops waiting for it when the context ends.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("not done in time: %w", ctx.Err())
	}
}

// teachable leaves out the addresses that no connection is steered to; what bpf/addr.h calls local.
func teachable(addrs []netip.Addr) []netip.Addr {
	var kept []netip.Addr
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		local := a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() ||
			a.Is4() && a.As4()[0] == 0 || a == broadcast
		if a.IsValid() && !local {
			kept = append(kept, a)
		}
	}
	return kept
}
