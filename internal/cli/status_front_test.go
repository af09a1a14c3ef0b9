package cli

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
)

// crowded has more of everything than fits on a screen.
func crowded(t *testing.T) overview {
	t.Helper()
	o := overview{
		Status: dataplane.Status{
			State: dataplane.StateStarted, Home: true, Since: time.Now().Add(-2 * time.Hour), Version: strings.Repeat("v", 90), Audit: true,
			Observers: []string{"sockets", "libc", "tc:" + strings.Repeat("eth0,", 40)}, Cgroup: "/sys/fs/cgroup/" + strings.Repeat("deep/", 40), Rules: 1e6,
		},
		config: configState{Files: []string{"/" + strings.Repeat("long/", 30), "b"}, Differs: true},
		learnt: dataplane.LearntCount{Addresses: 1e6, Names: map[dataplane.Level]int{"process": 1e6, "user": 1e6, "host": 1e6}, Conflicts: 1e6},
	}
	for _, name := range []string{
		"unknown", "no_rule", "steered", "steered_by_address", "steered_by_default", "direct", "marked", "kept", "kept_old", "left_own", "left_local", "blocked",
		"no_interface", "send_again", "questions", "answers", "answer_unasked", "answer_late", "answer_rcode", "answer_malformed", "record_bad", "address_refused",
		"question_bad", "libc_answers", "libc_failed", "audit_found", "event_lost",
	} {
		o.Counters = append(o.Counters, dataplane.Counter{Name: name, Value: 1 << 40})
	}
	name, err := pattern.Parse("例え.テスト.example")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		o.leaks = append(o.leaks, dataplane.Leak{When: time.Now(), Name: name.Name, Address: netip.MustParseAddr("2001:db8::1234:5678:9abc:def0"), Port: 443, Comm: "evil\x1b[2J", PID: uint32(i)})
		o.uplinks = append(o.uplinks, uplink{Facts: netdev.Facts{Device: netdev.Device{Name: fmt.Sprintf("網%d", i)}, Exists: true, Up: true, Carrier: i%2 == 0}, rules: i, hits: uint64(i)})
	}
	o.sums = dataplane.HitSums{Rules: 1e6, Sum: 1 << 50}
	return o
}

// However much there is, it fits on the screen, and each line of the page in its width; nothing of it reaches the terminal as
// a command.
func TestFrontFits(t *testing.T) {
	o := crowded(t)
	for warnings := range 40 {
		o.Warnings = nil
		for i := range warnings {
			o.Warnings = append(o.Warnings, fmt.Sprintf("number %d %s", i, strings.Repeat("is long ", warnings%7*4)))
		}
		var out, errs strings.Builder
		a := &app{Env: Env{Stdout: &out, Stderr: &errs}}
		a.printFront(o)
		page := strings.TrimSuffix(out.String(), "\n")
		height, told := 0, strings.Count(errs.String(), "warning: ")
		for line := range strings.Lines(errs.String() + out.String()) {
			height += (lipgloss.Width(line) + screenWidth - 1) / screenWidth
		}
		for line := range strings.Lines(out.String()) {
			if w := lipgloss.Width(line); w > screenWidth || strings.Contains(line, "\x1b") {
				t.Errorf("%d columns: %q", w, line)
			}
		}
		if height > screenHeight || height < screenHeight-3 || strings.Count(page, "\n")+1 < leastLines {
			t.Errorf("%d lines with %d warnings:\n%s%s", height, warnings, errs.String(), page)
		}
		if more := warnings - told; told < min(warnings, 1) ||
			more > 0 && !strings.HasSuffix(errs.String(), fmt.Sprintf("warnings more: %d; see: domain-route status --all\n", more)) {
			t.Errorf("of %d warnings: %s", warnings, errs.String())
		}
		if warnings == 0 || warnings == 39 {
			t.Logf("\n%s%s", errs.String(), page)
		}
	}
}

// The counters of groups that have no room are counted.
func TestFrontCounters(t *testing.T) {
	o := crowded(t)
	if page := strings.Join(o.front(leastLines), "\n"); !strings.Contains(page, "\nanswers: ") || strings.Contains(page, "\nnot taken: ") ||
		!strings.HasSuffix(page, "\ncounters more: 12; everything: domain-route status --all") {
		t.Error(page)
	}
}

// Of many interfaces those that do not work are shown, and those that are used most, too.
func TestMostUsed(t *testing.T) {
	o := crowded(t)
	shown := strings.Join(o.uplinkLines(6), "\n")
	for _, words := range []string{"網62 ", "網60 ", "網63  up, no link", "網61  up, no link", "and 60 more"} {
		if !strings.Contains(shown, words) {
			t.Errorf("no %q in\n%s", words, shown)
		}
	}
	if n := len(o.uplinkLines(100)); n != 65 {
		t.Errorf("%d lines of 64 interfaces", n)
	}
	o.Home = false
	if lines := o.uplinkLines(6); len(lines) != 1 || !strings.Contains(lines[0], "another network namespace") {
		t.Errorf("%q", lines)
	}
}

func TestVersionWarnings(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = strings.Repeat("1", 40)
	for loaded, warns := range map[string]bool{"": false, version[:31]: false, "0.9": true} {
		got := versionWarnings(dataplane.Status{State: dataplane.StateStarted, Version: loaded})
		if (len(got) == 1) != warns || warns && !strings.HasSuffix(got[0], "version 0.9, this command is "+version+"; update them in place: domain-route start") {
			t.Errorf("loaded %q: %q", loaded, got)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min", 2*time.Hour + 50*time.Minute: "2 h", 47 * time.Hour: "47 h", 80 * time.Hour: "3 days",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
