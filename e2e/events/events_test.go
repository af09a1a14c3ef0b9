// Package events sees that those who watch are told what happened, and who did it, just as the packets went.
package events

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == watchForGood {
		watchUntilKilled()
	}
	if len(os.Args) > 4 && os.Args[1] == connectOften {
		connectMany(os.Args[2], os.Args[3], os.Args[4])
	}
	lab.Isolate()
	os.Exit(m.Run())
}

// watch begins to watch, until the end of the test.
func watch(t *testing.T, o dataplane.WatchOptions) *dataplane.Watcher {
	t.Helper()
	w, err := dataplane.Watch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// next is the next event that is wanted; it fails the test if none comes in time.
func next(t *testing.T, w *dataplane.Watcher, wanted func(dataplane.Event) bool) dataplane.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		e, err := w.Next(ctx)
		if err != nil {
			t.Fatalf("no such event: %v", err)
		}
		if wanted(e) {
			return e
		}
	}
}

// none fails the test if there is any event before long.
func none(t *testing.T, w *dataplane.Watcher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if e, err := w.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("there is an event, or another error: %+v, %v", e, err)
	}
}

// apply makes these the rules.
func apply(t *testing.T, h *harness.Host, rules string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Must("apply", "-f", file)
}

func isKind(k dataplane.EventKind) func(dataplane.Event) bool {
	return func(e dataplane.Event) bool { return e.Kind == k }
}

func resolve(t *testing.T, a *lab.Agent, name string, to netip.Addr) {
	t.Helper()
	kind := dns.TypeAAAA
	if to.Is4() {
		kind = dns.TypeA
	}
	if _, err := a.Resolve(lab.Query{Name: name, Type: kind}); err != nil {
		t.Fatal(err)
	}
}

const watchForGood = "watch-until-killed"

func watchUntilKilled() {
	w, err := dataplane.Watch(dataplane.WatchOptions{All: true})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString("watching\n")
	for {
		if _, err := w.Next(context.Background()); err != nil {
			os.Exit(1)
		}
	}
}
