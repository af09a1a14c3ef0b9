package warm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// numbered makes names n0.example, n1.example, ...
func numbered(n int) []pattern.Name {
	var names []pattern.Name
	for i := range n {
		names = append(names, fact(fmt.Sprintf("n%d.example", i), nil, 0).Name)
	}
	return names
}

func TestLookUpAll(t *testing.T) {
	refused := errors.New("refused")
	outcomes := map[string]struct {
		addrs []netip.Addr
		err   error
	}{
		"n0.example.": {append(addrs4, addrs6...), nil},
		"n1.example.": {nil, &net.DNSError{IsNotFound: true}},
		"n2.example.": {nil, nil},
		"n3.example.": {[]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")}, nil},
		"n4.example.": {nil, refused},
		"n5.example.": {[]netip.Addr{netip.MustParseAddr("::ffff:198.51.100.1")}, nil},
	}
	got := lookUpAll(t.Context(), numbered(6), func(_ context.Context, name string) ([]netip.Addr, error) {
		o, ok := outcomes[name]
		if !ok {
			t.Errorf("asked for %q", name)
		}
		return o.addrs, o.err
	})
	want := tally{
		facts: []Fact{fact("n0.example", append(addrs4, addrs6...), time.Minute), fact("n5.example", addrs4, time.Minute)},
		empty: 3, failed: 1, err: refused,
	}
	if !errors.Is(got.err, refused) || got.empty != want.empty || got.failed != want.failed {
		t.Errorf("%+v, want %+v", got, want)
	}
	if d := cmp.Diff(want.facts, got.facts, compareNames...); d != "" {
		t.Errorf("want - got +\n%s", d)
	}
}

// TestLookUpsAtATime: eight, so that 100 names are no storm, and no less, so that one slow answer holds up none.
func TestLookUpsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		begin := time.Now()
		lookUpAll(t.Context(), numbered(40), func(context.Context, string) ([]netip.Addr, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			return nil, nil
		})
		if took := time.Since(begin); most.Load() != lookUpsOnce || took != 500*time.Millisecond {
			t.Errorf("%d at a time, %v in all", most.Load(), took)
		}
	})
}

// TestWithin: what hangs is not waited for.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan bool)
		begin := time.Now()
		_, err := within(ctx, func() (int, error) { <-release; return 1, nil })
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		close(release)
		if n, err := within(t.Context(), func() (int, error) { return 2, nil }); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestLookUpLate: the rules and the lesson may take too long, too.
func TestLookUpLate(t *testing.T) {
	hang := make(chan bool)
	t.Cleanup(func() { close(hang) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	o := Options{Names: func() (Choice, error) { <-hang; return Choice{}, nil }}
	if s := o.lookUp(ctx); s.Error == "" {
		t.Errorf("%+v, want an error", s)
	}
	o.Teach = func(context.Context, []Fact) error { <-hang; return nil }
	if err := o.teach(ctx, []Fact{{}}); err == nil {
		t.Error("an endless lesson is waited for")
	}
}
