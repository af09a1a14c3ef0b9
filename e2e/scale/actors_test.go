package scale

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/testlist"
)

// The uplinks: wan0 has the default route, and takes what no rule is for.
const (
	none    = "wan0"
	oldWay  = "vpn0"
	newWay  = "wan1"
	blocked = "EHOSTUNREACH"
)

// user is an ordinary user's id.
const user = 1000

// An actor is a server and what the two rule sets say of its name.
type actor struct {
	name     string
	ruled    bool      // by both sets, for everybody
	ways     [2]string // under the old and the new rule set
	userWays [2]string // of the user, where they differ
	host     lab.Host
	rules    [2]string // ADDR4 and ADDR6 stand for the server's addresses
}

// theActors has every way in which one rule can take another one's place.
func theActors() []*actor {
	return []*actor{
		{name: "www.both.test", ruled: true, ways: [2]string{oldWay, newWay},
			rules: [2]string{"both.test vpn0", "both.test wan1"}},
		{name: "www.deeper.test", ruled: true, ways: [2]string{oldWay, newWay},
			rules: [2]string{"deeper.test vpn0", "=www.deeper.test wan1"}},
		{name: "www.higher.test", ruled: true, ways: [2]string{oldWay, newWay},
			rules: [2]string{"=www.higher.test vpn0", "*.higher.test wan1\nhigher.test block"}},
		{name: "kept.test", ruled: true, ways: [2]string{oldWay, oldWay},
			rules: [2]string{"kept.test vpn0", "kept.test vpn0"}},
		{name: "chain.test", ruled: true, ways: [2]string{newWay, oldWay},
			rules: [2]string{"chain.test gone0,wan1", "chain.test gone1,vpn0"}},
		{name: "refused.test", ruled: true, ways: [2]string{oldWay, blocked},
			rules: [2]string{"refused.test vpn0", "refused.test block"}},
		{name: "address.test", ruled: true, ways: [2]string{oldWay, newWay},
			rules: [2]string{"address.test vpn0", "ADDR4 wan1\nADDR6 wan1"}},
		{name: "addresses.test", ruled: true, ways: [2]string{oldWay, newWay},
			rules: [2]string{"ADDR4 vpn0\nADDR6 vpn0", "ADDR4 wan1\nADDR6 wan1"}},
		{name: "somebody.test", ruled: true, ways: [2]string{oldWay, newWay}, userWays: [2]string{newWay, oldWay},
			rules: [2]string{"somebody.test vpn0\nsomebody.test wan1 user=1000", "somebody.test wan1\nsomebody.test vpn0 user=1000"}},
		{name: "old.test", ways: [2]string{oldWay, none}, rules: [2]string{"old.test vpn0", ""}},
		{name: "new.test", ways: [2]string{none, newWay}, rules: [2]string{"", "new.test wan1"}},
		{name: "theirs.test", ways: [2]string{none, none}, userWays: [2]string{none, newWay},
			rules: [2]string{"", "theirs.test wan1 user=1000"}},
		{name: "plain.test", ways: [2]string{none, none}},
	}
}

func (a *actor) way(set int, uid uint32) string {
	if uid == user && a.userWays[set] != "" {
		return a.userWays[set]
	}
	return a.ways[set]
}

// Names that are resolved for the first time just before they are connected to, or some time before.
var (
	fresh = &actor{name: "fresh.test", ruled: true, ways: [2]string{oldWay, newWay}, rules: [2]string{"fresh.test vpn0", "fresh.test wan1"}}
	late  = &actor{name: "late.test", ways: [2]string{none, newWay}, rules: [2]string{"", "late.test wan1"}}
)

// writeSets writes the two rule sets, as rule list prints them: nine of ten of their many other rules are the same.
func writeSets(t *testing.T, h *harness.Host, actors []*actor, n int) (files [2]string) {
	t.Helper()
	names := testlist.Names(1, n+n/10)
	targets := []string{"vpn0", "direct", "wan1,direct", "block"}
	for set := range files {
		var text bytes.Buffer
		for _, a := range append(actors, fresh, late) {
			rules := bytes.ReplaceAll([]byte(a.rules[set]), []byte("ADDR4"), []byte(a.host.Addr4.String()))
			text.Write(bytes.ReplaceAll(rules, []byte("ADDR6"), []byte(a.host.Addr6.String())))
			text.WriteByte('\n')
		}
		for i, name := range names[set*n/10:][:n] {
			fmt.Fprintln(&text, name, targets[(i+i/97)%len(targets)])
		}
		files[set] = filepath.Join(h.Dir, fmt.Sprintf("set%d.rules", set))
		check(t, os.WriteFile(files[set], text.Bytes(), 0o600))
	}
	return files
}

// shrink gives back what memory this process does not need: its peak is passed on to those that it starts.
func shrink(t *testing.T) {
	t.Helper()
	debug.FreeOSMemory()
	check(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // the peak starts anew
}
