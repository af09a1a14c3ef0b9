package audit

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// TestWatched: who watches is told of what was learnt, then of the leak, with all that is known of it.
func TestWatched(t *testing.T) {
	h, to := audited(t)
	w, err := dataplane.Watch(dataplane.WatchOptions{})
	check(t, err)
	defer w.Close()
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	sends(t, h, a, to, helloFor(t, "www."+ruled))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, want := range []string{
		"learnt learnt 0  audit", fmt.Sprintf("leak audit_leaked %d tcp ", tlsPort),
	} {
		e, err := w.Next(ctx)
		check(t, err)
		got := fmt.Sprintf("%s %s %d %s %s", e.Kind, e.Why, e.Port, e.Protocol, e.Observer)
		if got != want || e.Name.String() != "www."+ruled || e.Address != to.Addr() || e.UID != alice || int(e.PID) != a.PID || e.Comm == "" ||
			!e.Ruled || e.Rule.Pattern.String() != ruled {
			t.Errorf("told %s: %+v; want %s", got, e, want)
		}
	}
}

// TestNoHistory: with --history=no nothing of a name without a rule stays in any map of the program that reads it; with yes the same
// look finds it, in the room where it was read.
func TestNoHistory(t *testing.T) {
	for _, keep := range []string{"yes", "no"} {
		t.Run(keep, func(t *testing.T) {
			h := harness.Started(t, "--audit", "--history="+keep)
			h.Must("rule", "add", ruled, "vpn0")
			to := netip.AddrPortFrom(newSite(t, h).Addr4, tlsPort)
			sends(t, h, h.MustAgent(lab.AgentOptions{UID: alice}), to, helloFor(t, "private.example"))
			if found := inMaps(t, "private"); found != (keep == "yes") {
				t.Errorf("the name is found: %v", found)
			}
		})
	}
}

// inMaps looks for a text in the arrays that the program at egress uses, pinned or not.
func inMaps(t *testing.T, text string) (found bool) {
	t.Helper()
	l, err := link.LoadPinnedLink(pins+"../links/audit", nil)
	check(t, err)
	defer l.Close()
	info, err := l.Info()
	check(t, err)
	p, err := ebpf.NewProgramFromID(info.Program)
	check(t, err)
	defer p.Close()
	about, err := p.Info()
	check(t, err)
	ids, _ := about.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		check(t, err)
		if m.Type() == ebpf.PerCPUArray {
			for i := range m.MaxEntries() {
				var values [][]byte
				check(t, m.Lookup(i, &values))
				found = found || bytes.Contains(bytes.Join(values, nil), []byte(text))
			}
		}
		m.Close()
	}
	return found
}
