package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// Commands that run at once come out as if one had run after the other (G4).
func TestParallelCommands(t *testing.T) {
	const rounds, commands = 5, 64
	h := harness.New(t, lab.Options{})
	start(h)
	kept := map[string]bool{} // patterns that must be there
	contested := ""           // target of the rule everybody fights over; "" when there is none
	for round := range rounds {
		r := newRound(round, commands, kept)
		r.run(h)
		r.checkOutcomes(t)
		now := listed(t, h)
		for _, p := range r.deleted {
			delete(kept, p)
		}
		for _, p := range r.added {
			kept[p] = true
		}
		if want := len(kept); want != len(now)-present(now, "fight.test") {
			t.Errorf("round %d: %d rules, want %d", round, len(now), want)
		}
		for p := range kept {
			if now[p] != "vpn0" {
				t.Errorf("round %d: the rule for %s is lost (%q)", round, p, now[p])
			}
		}
		r.checkContested(t, contested, now["fight.test"])
		contested = now["fight.test"]
		if t.Failed() {
			return
		}
	}
	if len(kept) < 60 {
		t.Errorf("only %d rules in the end", len(kept))
	}
}

func present(rules map[string]string, pattern string) int {
	if rules[pattern] == "" {
		return 0
	}
	return 1
}

// listed returns pattern -> target.
func listed(t *testing.T, h *harness.Host) map[string]string {
	t.Helper()
	var data struct {
		Rules []struct{ Pattern, Target string }
	}
	h.JSON(&data, "rule", "list")
	all := map[string]string{}
	for _, r := range data.Rules {
		all[r.Pattern] = r.Target
	}
	return all
}

// round is one salvo of commands.
type round struct {
	commands       [][]string
	results        []harness.Result
	added, deleted []string // patterns that only this round's commands, one each, add or delete
}

func newRound(number, size int, kept map[string]bool) *round {
	var old []string
	for p := range kept {
		old = append(old, p)
	}
	slices.Sort(old)
	r := &round{}
	for i := range size {
		switch {
		case i%16 == 15:
			r.commands = append(r.commands, []string{"rule", "list"})
		case i == 7 || i == 39:
			r.commands = append(r.commands, []string{"start"})
		case i%8 == 3 && len(old) > i/8:
			r.deleted = append(r.deleted, old[i/8])
			r.commands = append(r.commands, []string{"rule", "del", old[i/8]})
		case i%4 == 0:
			r.commands = append(r.commands, []string{"rule", "add", "fight.test", fmt.Sprintf("t%dx%d", number, i)})
		case i%8 == 5:
			r.commands = append(r.commands, []string{"rule", "del", "fight.test"})
		default:
			p := fmt.Sprintf("r%d-%d.test", number, i)
			r.added = append(r.added, p)
			r.commands = append(r.commands, []string{"rule", "add", p, "vpn0"})
		}
	}
	return r
}

func (r *round) run(h *harness.Host) {
	r.results = make([]harness.Result, len(r.commands))
	var all sync.WaitGroup
	for i, c := range r.commands {
		if c[0] == "start" {
			c = append(c, "--cgroup", h.Cgroup)
		}
		all.Go(func() { r.results[i] = h.Run(append(c, "-o", "json")...) })
	}
	all.Wait()
}

// checkOutcomes fails for every command that did not succeed; only deleting what is contested may find nothing.
func (r *round) checkOutcomes(t *testing.T) {
	t.Helper()
	for i, c := range r.commands {
		got := r.results[i]
		if got.Code == 0 || got.Code == 1 && slices.Equal(c, []string{"rule", "del", "fight.test"}) {
			continue
		}
		t.Errorf("%v: exit %d\n%s%s", c, got.Code, got.Stdout, got.Stderr)
	}
}

// checkContested finds out whether what the commands on one rule say can have happened one after the other. Every
// add has a target of its own, so each state that the rule passes through is left once at most: by one add that says what it
// replaced, or by one delete.
func (r *round) checkContested(t *testing.T, first, last string) {
	t.Helper()
	reached, replaced := map[string]bool{first: true}, map[string]bool{}
	adds, fromNothing, deletes := 0, 0, 0
	for i, c := range r.commands {
		if c[0] != "rule" || len(c) < 3 || c[2] != "fight.test" {
			continue
		}
		var out struct{ Data struct{ Replaced string } }
		if err := json.Unmarshal([]byte(r.results[i].Stdout), &out); err != nil {
			t.Errorf("%v prints %q: %v", c, r.results[i].Stdout, err)
			continue
		}
		switch was := out.Data.Replaced; {
		case c[1] == "del" && r.results[i].Code == 0:
			deletes++
		case c[1] == "del":
		case was == "":
			adds, fromNothing, reached[c[3]] = adds+1, fromNothing+1, true
		default:
			if replaced[was] {
				t.Errorf("%s was replaced twice: one of the changes is lost", was)
			}
			adds, replaced[was], reached[c[3]] = adds+1, true, true
		}
	}
	for was := range replaced {
		if !reached[was] {
			t.Errorf("%s was replaced, but never set", was)
		}
	}
	if !reached[last] && (last != "" || deletes == 0) {
		t.Errorf("the last target is %q, which no add set", last)
	}
	if replaced[last] {
		t.Errorf("the last target is %q, which was replaced", last)
	}
	// Arrivals at nothing and departures from it alternate.
	here, there := deletes, fromNothing
	if first == "" {
		here++
	}
	if last == "" {
		there++
	}
	if here != there {
		t.Errorf("%d deletes and %d adds from nothing, from %q to %q: not one after the other", deletes, fromNothing, first, last)
	}
	if got := strings.Count(strings.Join(flat(r.commands), " "), "add fight.test"); got != adds {
		t.Errorf("%d adds counted, of %d", adds, got)
	}
}

func flat(commands [][]string) []string {
	var all []string
	for _, c := range commands {
		all = append(all, c...)
	}
	return all
}

// Several first starts at once: one starts, the others find it started, and bpffs is mounted once.
func TestParallelFirstStarts(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for round := range 5 {
		inkernel.Unmount(t)
		results := make([]harness.Result, 4)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { results[i] = h.Run("start", "--cgroup", h.Cgroup, "-o", "json") })
		}
		all.Wait()
		started := 0
		for _, r := range results {
			if r.Code != 0 {
				t.Errorf("round %d: exit %d, %s", round, r.Code, r.Stderr)
			}
			if strings.Contains(r.Stdout, `"started"`) {
				started++
			}
		}
		if n := inkernel.Mounts(t); started != 1 || n != 1 {
			t.Errorf("round %d: %d started, bpffs is mounted %d times; want 1 and 1", round, started, n)
		}
		if s := inspect(t, h); s.State != "started" {
			t.Errorf("round %d: status %+v", round, s)
		}
		if n := len(inkernel.Attached(t, h.Cgroup)); n != inkernel.Hooks {
			t.Errorf("round %d: %d programs attached, want %d", round, n, inkernel.Hooks)
		}
		h.Must("stop")
		inkernel.WantNothing(t, h.Cgroup)
	}
}

// A start that is held up just before it mounts bpffs, while another one goes as far as it can: there is one mount and
// one system in the end, whoever came first.
func TestStartsRaceToMount(t *testing.T) {
	h := harness.New(t, lab.Options{})
	inkernel.Unmount(t)
	args := []string{"start", "--cgroup", h.Cgroup}
	var other <-chan inject.Result
	first, err := inject.Run(h.Lab, inject.Options{Watch: []int{unix.SYS_MOUNT}, On: func(n, _ int) inject.Verdict {
		if n == 1 {
			var met <-chan bool
			other, met = runUntilLocked(t, h, args...)
			<-met // it waits for the first, or is through
		}
		return inject.Verdict{}
	}}, harness.Binary(t), args...)
	check(t, err)
	second := <-other
	if first.Code != 0 || second.Code != 0 || first.Calls == 0 {
		t.Errorf("exit %d (%s) and %d (%s), %d mounts tried", first.Code, first.Stderr, second.Code, second.Stderr, first.Calls)
	}
	if n := inkernel.Mounts(t); n != 1 {
		t.Errorf("bpffs is mounted %d times", n)
	}
	if a := inkernel.Attached(t, h.Cgroup); len(a) != inkernel.Hooks {
		t.Errorf("attached: %v", a)
	}
	h.Must("stop")
	inkernel.WantNothing(t, h.Cgroup)
}
