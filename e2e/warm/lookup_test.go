package warm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// TestLookUp: an update looks up the exact names of the rules, and what it hears is known to all. It runs outside the lab's
// cgroup, so the programs in the kernel do not see it ask.
func TestLookUp(t *testing.T) {
	h := harness.Started(t)
	suffix, exact, below := h.MustHost("bank.example"), h.MustHost("www.shop.example"), h.MustHost("sub.example")
	for _, pattern := range []string{"bank.example", "=www.shop.example", "=bank.example", "*.sub.example", "nothing.example"} {
		h.Must("rule", "add", pattern, "vpn0")
	}
	leavesBy(t, h, suffix.Addr4, "wan0") // nobody has asked yet
	h.DNS.ResetQuestions()
	r := h.Run("start", "--flush=no")
	if want := "look-up: 3 names: 2 answered, 1 without an address, 0 failed\n"; !strings.Contains(r.Stderr, want) {
		t.Errorf("start says\n%swant %q", r.Stderr, want)
	}
	var names []string
	for _, q := range h.DNS.Questions() {
		if !slices.Contains(names, q.Name) {
			names = append(names, q.Name)
		}
	}
	slices.Sort(names)
	if want := []string{"bank.example.", "nothing.example.", "www.shop.example."}; !slices.Equal(names, want) {
		t.Errorf("asked for %q, want %q", names, want)
	}
	for _, s := range []lab.Host{suffix, exact} {
		leavesBy(t, h, s.Addr4, "vpn0")
		leavesBy(t, h, s.Addr6, "vpn0")
	}
	leavesBy(t, h, below.Addr4, "wan0")
	for _, l := range h.Learnt() {
		if l.Level != "host" || l.TTL > 60 {
			t.Errorf("learnt %+v, want the host's for a minute at most", l)
		}
	}
}

// TestLookUpMany: of more than 100 names those that the configuration's own files have, and never those of block.
func TestLookUpMany(t *testing.T) {
	h := harness.Started(t)
	var set strings.Builder
	for i := range 103 {
		fmt.Fprintf(&set, "n%d.example vpn0\n", i)
	}
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	h.Must("apply", "-f", put("rules", set.String()+"zoo.example vpn0\nads.example block\n"))
	asked := func(config, want string) map[string]bool {
		t.Helper()
		h.DNS.ResetQuestions()
		if r := h.Run("start", "--config", config); !strings.Contains(r.Stderr, want) {
			t.Errorf("start says\n%swant %q", r.Stderr, want)
		}
		names := map[string]bool{}
		for _, q := range h.DNS.Questions() {
			names[q.Name] = true
		}
		return names
	}
	if got := asked("none", "look-up: none: of 104 names none stands in the configuration's own files"); len(got) > 0 {
		t.Errorf("asked for %v", got)
	}
	config := put("config.yaml", "rules: [{match: zoo.example, target: vpn0}, {match: ads.example, target: block}]\n")
	got := asked(config, "look-up: 1 name: 0 answered, 1 without an address, 0 failed; 103 more left out\n")
	if !maps.Equal(got, map[string]bool{"zoo.example.": true}) {
		t.Errorf("asked for %v", got)
	}
}

// TestLookUpUnanswered: name servers that do not answer hold up a start by 2 seconds at most, and do not fail it.
func TestLookUpUnanswered(t *testing.T) {
	h := harness.Started(t)
	known := h.MustHost("known.example")
	for i := range 20 {
		name := fmt.Sprintf("mute%d.example", i)
		h.DNS.HandleRaw(name, func([]byte, string) [][]byte { return nil })
		h.Must("rule", "add", name, "vpn0")
	}
	h.Must("rule", "add", "known.example", "vpn0")
	begin := time.Now()
	r := h.Run("start")
	took := time.Since(begin)
	if r.Code != 0 || took > 8*time.Second {
		t.Errorf("start: exit %d after %v", r.Code, took)
	}
	if want := "look-up: 21 names: 1 answered, 0 without an address, 20 failed: "; !strings.Contains(r.Stderr, want) {
		t.Errorf("start says\n%swant %q", r.Stderr, want)
	}
	leavesBy(t, h, known.Addr4, "vpn0")
}

// TestTold: each step has one line on standard error, or one element of the JSON; what is no yes and no no is refused.
func TestTold(t *testing.T) {
	h := harness.New(t, lab.Options{})
	r := h.Run("start", "--cgroup", h.Cgroup)
	var steps []string
	for line := range strings.Lines(r.Stderr) {
		step, _, _ := strings.Cut(strings.TrimPrefix(line, "domain-route: "), ":")
		steps = append(steps, step)
	}
	want := []string{"import", "flush", "look-up"}
	if len(steps) < 4 || !slices.Equal(steps[len(steps)-3:], want) || r.Stdout != "" {
		t.Errorf("stdout %q, stderr\n%s", r.Stdout, r.Stderr)
	}
	var data struct {
		Warm []struct{ Step, Result string }
	}
	r = h.JSON(&data, "start")
	if len(data.Warm) != 3 || strings.Contains(r.Stderr, "flush") {
		t.Errorf("JSON has %+v, standard error\n%s", data.Warm, r.Stderr)
	}
	for i, s := range data.Warm {
		if s.Step != want[i] || s.Result == "" {
			t.Errorf("step %d is %+v", i, s)
		}
	}
	if r := h.Run("start", "--flush=maybe"); r.Code != 2 {
		t.Errorf("--flush=maybe: exit %d, %s", r.Code, r.Stderr)
	}
}
