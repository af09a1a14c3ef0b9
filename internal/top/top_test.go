package top

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// fake is a Source whose time goes on by a second with each reading.
type fake struct {
	t      testing.TB
	second int
	hits   map[string]func(second int) uint64 // rule to how often it decided by then
	events []dataplane.Event
	lost   uint64
	off    bool
	evil   string // what a process calls itself

	noEvents string // why
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func (f *fake) rule(line string) ruleset.Rule {
	set := ruleset.New()
	if err := set.UnmarshalText([]byte(line)); err != nil {
		f.t.Fatal(err)
	}
	for r := range set.All() {
		return r
	}
	f.t.Fatalf("no rule in %q", line)
	return ruleset.Rule{}
}

func (f *fake) name(s string) pattern.Name {
	n, err := pattern.ParseName(s)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

func (f *fake) Read() Snapshot {
	f.second++
	now := noon.Add(time.Duration(f.second) * time.Second)
	if f.off {
		return Snapshot{When: now}
	}
	s := Snapshot{
		When: now, Started: true, Since: noon.Add(-2*time.Hour - 14*time.Minute), Rules: 1234, Version: "v0.5.0",
		Counters: map[string]uint64{"steered": uint64(100 + 12*f.second), "blocked": uint64(f.second), "no_interface": 3, "learnt": uint64(2 * f.second)},
	}
	for _, line := range []string{"example.com wg0", "*.video.example wg0,wwan0", "=ads.example block", "198.51.100.0/24 direct user=1000", "default wg0"} {
		s.Hits = append(s.Hits, dataplane.Hit{Rule: f.rule(line), Count: f.hits[line](f.second)})
	}
	wg0 := netdev.Facts{Device: netdev.Device{Name: "wg0", Index: 7}, Exists: true, Up: true, Carrier: true,
		Addrs4: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}, Addrs6: []netip.Prefix{netip.MustParsePrefix("2001:db8::2/64")},
		Routed4: true}
	s.Interfaces = []Interface{{wg0, 1200}, {netdev.Facts{Device: netdev.Device{Name: "wwan0"}}, 33}}
	s.Names = []dataplane.Standing{
		{Learnt: dataplane.Learnt{Address: netip.MustParseAddr("192.0.2.1"), Name: f.name("www.example.com"), Level: dataplane.LevelHost, TTL: 50 * time.Second},
			Ruled: true, Target: f.rule("example.com wg0").Target, Decides: true},
		{Learnt: dataplane.Learnt{Address: netip.MustParseAddr("192.0.2.9"), Name: f.name("cdn.example.net"), Level: dataplane.LevelProcess, PID: 77, UID: 1000, TTL: -5 * time.Second},
			Conflict: true},
	}
	s.Leaks = []dataplane.Leak{{When: noon, Name: f.name("doh.example.com"), Address: netip.MustParseAddr("192.0.2.1"), Port: 443, PID: 5, Comm: f.evil}}
	return s
}

func (f *fake) Events() Events { return Events{Last: f.events, Lost: f.lost, Problem: f.noEvents} }

func (f *fake) Explain(s Subject) (string, error) {
	if s.Arg == "www.example.com" {
		return "www.example.com -> wg0 (ifindex 7, up)\n\n\trule example.com at config.yaml:3 \x1b[31mred\n" + strings.Repeat("a long line of words ", 20) + "\n" +
			strings.Repeat("more\n", 60) + "the last line\n", nil
	}
	return "", errors.New("nothing is known of " + s.Arg)
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, evil: "ev\x1b]0;il\x07", hits: map[string]func(int) uint64{
		"example.com wg0":                  func(s int) uint64 { return uint64(1000 + s*s) },
		"*.video.example wg0,wwan0":        func(s int) uint64 { return uint64(50 + 3*s) },
		"=ads.example block":               func(s int) uint64 { return uint64(7 + s/3) },
		"198.51.100.0/24 direct user=1000": func(int) uint64 { return 12 },
		"default wg0":                      func(s int) uint64 { return uint64(s % 2) },
	}}
	kinds := []dataplane.EventKind{dataplane.EventLearnt, dataplane.EventSteered, dataplane.EventRefused, dataplane.EventBlocked}
	for i := range 30 {
		e := dataplane.Event{
			Time: noon.Add(time.Duration(i) * time.Second), Kind: kinds[i%len(kinds)], Why: "steered", PID: uint32(1000 + i), UID: 1000, Comm: "curl",
			Name: f.name("www.example.com"), Address: netip.MustParseAddr("192.0.2.1"), Port: 443, Protocol: "tcp", Ruled: true, Rule: f.rule("example.com wg0"),
		}
		if e.Kind == dataplane.EventLearnt {
			e.Port, e.Protocol, e.TTL, e.Observer = 0, "", time.Minute, []string{"sockets", "libc"}[i/4%2]
		}
		switch e.Kind {
		case dataplane.EventSteered:
			e.Interface, e.Ifindex = "wg0", 7
		case dataplane.EventRefused:
			e.Why, e.Comm = "no_interface", f.evil
		}
		f.events = append(f.events, e)
	}
	return f
}

// printable is as cli's, as far as it matters here.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	return b.String()
}

// screen is a model in the hands of a test.
type screen struct {
	*Model
	t testing.TB
	f *fake
}

func newScreen(t testing.TB, f *fake, width, height int, ascii bool) *screen {
	m := New(f, Options{Printable: printable, User: func(uid uint32) string { return "u" + strconv.Itoa(int(uid)) }, ASCII: ascii})
	s := &screen{m, t, f}
	s.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return s
}

// pass lets seconds go by.
func (s *screen) pass(n int) *screen {
	for range n {
		s.Update(readMsg{s.f.Read()})
		s.Update(eventsMsg{s.f.Events()})
	}
	return s
}

// press presses keys, by their names; a command that one gives is run, unless it draws the end.
func (s *screen) press(keys ...string) *screen {
	for _, k := range keys {
		if cmd := s.key(k, text(k)); cmd != nil {
			if msg := cmd(); msg != nil {
				s.Update(msg)
			}
		}
	}
	return s
}

func text(k string) string {
	if len(k) == 1 {
		return k
	}
	return ""
}

// shown is the screen without its styles, checked for what must hold of every screen.
func (s *screen) shown() string {
	s.t.Helper()
	styled := s.Screen()
	lines := strings.Split(styled, "\n")
	if len(lines) > s.height {
		s.t.Errorf("%dx%d: %d lines", s.width, s.height, len(lines))
	}
	for i, l := range lines {
		if w := lipgloss.Width(l); w > s.width {
			s.t.Errorf("%dx%d: line %d is %d wide: %q", s.width, s.height, i, w, l)
		}
		lines[i] = strings.TrimRight(strip(s.t, l), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// strip takes away the styles, which are all the escapes that there may be.
func strip(t testing.TB, s string) string {
	var b strings.Builder
	for s != "" {
		at := strings.IndexByte(s, 0x1b)
		if at < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:at])
		end := strings.IndexByte(s[at:], 'm')
		if end < 0 || !strings.HasPrefix(s[at:], "\x1b[") || strings.Trim(s[at+2:at+end], "0123456789;:") != "" {
			t.Fatalf("an escape that is no style: %q", s[at:min(len(s), at+20)])
		}
		s = s[at+end+1:]
	}
	for _, r := range b.String() {
		if !unicode.IsPrint(r) {
			t.Fatalf("%q in %q", r, b.String())
		}
	}
	return b.String()
}

// The screens, as they are in files.
func TestScreens(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		ascii         bool
		seconds       int
		keys          string
	}{
		{"80x24", 80, 24, false, 40, ""},
		{"80x24-ascii", 80, 24, true, 40, ""},
		{"120x40", 120, 40, false, 40, ""},
		{"60x15", 60, 15, false, 40, ""},
		{"40x8", 40, 8, false, 40, ""},
		{"200x60", 200, 60, false, 40, ""},
		{"interfaces", 80, 24, false, 40, "2"},
		{"events", 80, 24, false, 40, "3 down down"},
		{"names", 80, 24, false, 40, "4"},
		{"leaks", 80, 24, false, 40, "5"},
		{"filter", 80, 24, false, 40, "/ v i d e o"},
		{"filtered", 80, 24, false, 40, "3 / r e f u s e d enter"},
		{"help", 80, 24, false, 3, "?"},
		{"explain", 80, 24, false, 3, "3 e"},
		{"explain-end", 60, 15, false, 3, "3 e end"},
		{"first", 80, 24, false, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScreen(t, newFake(t), c.width, c.height, c.ascii).pass(c.seconds)
			s.shown()
			s.press(strings.Fields(c.keys)...)
			golden(t, c.name, s.shown())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("screen %s (-want +got):\n%s", name, diff)
	}
}

// No size breaks it, whatever is looked at.
func TestSizes(t *testing.T) {
	for _, keys := range []string{"", "2", "3", "4", "5", "?", "3 e", "/ x"} {
		s := newScreen(t, newFake(t), 80, 24, false).pass(10)
		s.press(strings.Fields(keys)...)
		for width := 1; width < 140; width += 7 {
			for height := 1; height < 50; height += 3 {
				s.Update(tea.WindowSizeMsg{Width: width, Height: height})
				s.shown()
			}
		}
	}
}

// While paused the rows stay, and counting goes on.
func TestPause(t *testing.T) {
	f := newFake(t)
	s := newScreen(t, f, 100, 24, false).pass(5).press("p")
	before := s.shown()
	f.lost = 9
	s.pass(5)
	after := s.shown()
	if !strings.Contains(after, "PAUSED") || !strings.Contains(after, "lost events 9") || !strings.Contains(after, "12:00:10") {
		t.Errorf("the header stands still:\n%s", after)
	}
	body := func(s string) string { return strings.Join(strings.Split(s, "\n")[3:], "\n") }
	if diff := cmp.Diff(body(before), body(after)); diff != "" {
		t.Errorf("the rows move: %s", diff)
	}
	s.press("s", "s")
	if s.shown() == after {
		t.Error("sorting does nothing while paused")
	}
	if body(s.press("space").shown()) == body(after) {
		t.Error("still paused")
	}
}

// The selection stays with what it is on while rows come and move, and at the first row stays there.
func TestSelection(t *testing.T) {
	f := newFake(t)
	s := newScreen(t, f, 80, 24, false).pass(3).press("3", "down", "down")
	on := s.views[paneEvents].id
	f.events = append(f.events, f.events[0], f.events[1])
	f.events[30].PID, f.events[31].PID = 5000, 5001
	s.pass(1)
	if v := s.views[paneEvents]; v.id != on || v.at != 4 {
		t.Errorf("it is on row %d, %s; want 4, %s", v.at, v.id, on)
	}
	s.press("g")
	f.events = append(f.events, f.events[2])
	f.events[32].PID = 5002
	if s.pass(1); s.views[paneEvents].at != 0 || !strings.Contains(s.views[paneEvents].id, "5002") {
		t.Errorf("it is on %+v; want the newest", s.views[paneEvents])
	}
	s.press("end")
	if at := s.views[paneEvents].at; at != 32 {
		t.Errorf("End goes to %d", at)
	}
	s.shown()
	s.press("pgup", "home", "pgdown", "k", "j", "nosuchkey")
	if at := s.views[paneEvents].at; at != s.visible-1 {
		t.Errorf("a page is %d of %d", at, s.visible)
	}
}

func TestOff(t *testing.T) {
	f := newFake(t)
	s := newScreen(t, f, 80, 24, false).pass(2)
	f.off = true
	if text := s.pass(1).shown(); !strings.Contains(text, "OFF: domain-route start") {
		t.Errorf("stopped:\n%s", text)
	}
	f.off = false
	if text := s.pass(1).shown(); !strings.Contains(text, "domain-route on") {
		t.Errorf("started again:\n%s", text)
	}
	s.Update(readMsg{Snapshot{When: noon, Missed: true, Problem: "nothing is read since noon"}})
	if text := s.shown(); !strings.Contains(text, "nothing is read since noon") || !strings.Contains(text, "example.com") {
		t.Errorf("locked:\n%s", text)
	}
}

// That no events are to be had stands with the events, and takes nothing else away.
func TestNoEvents(t *testing.T) {
	f := newFake(t)
	f.noEvents = "no events: too many watch at once"
	for _, keys := range []string{"", "2", "3", "3 end"} {
		s := newScreen(t, f, 80, 24, false).pass(3).press(strings.Fields(keys)...)
		if text := s.shown(); !strings.Contains(text, f.noEvents) || !strings.Contains(text, "steered 12.0/s") {
			t.Errorf("keys %q:\n%s", keys, text)
		}
	}
	f.events = nil
	if text := newScreen(t, f, 80, 24, false).pass(1).shown(); !strings.Contains(text, f.noEvents) || !strings.Contains(text, "nothing happened yet") {
		t.Errorf("no events at all:\n%s", text)
	}
}

// What is asked about is what is selected; an answer that comes late is not shown over something else.
func TestExplain(t *testing.T) {
	s := newScreen(t, newFake(t), 80, 24, false).pass(2).press("3")
	cmd := s.key("enter", "")
	if !strings.Contains(s.shown(), "Asking") {
		t.Error("nothing is shown meanwhile")
	}
	late := cmd()
	s.press("esc")
	s.Update(late)
	if s.overlay != nil {
		t.Error("a late answer is shown")
	}
	if s.press("1", "G", "enter"); s.overlay == nil || !strings.Contains(s.shown(), "nothing to explain") {
		t.Errorf("of the default rule:\n%s", s.shown())
	}
	if s.press("q", "g", "enter"); !strings.Contains(s.shown(), "nothing is known of example.com") {
		t.Errorf("an error:\n%s", s.shown())
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		rates []float64
		width int
		ascii bool
		want  string
	}{
		{nil, 4, false, "    "},
		{[]float64{0, 1, 2, 4, 8}, 5, false, " ▂▃▅█"},
		{[]float64{8, 0, 8}, 2, false, " █"},
		{[]float64{0.001, 8}, 4, true, "  .@"},
	} {
		if got := sparkline(c.rates, c.width, c.ascii); got != c.want {
			t.Errorf("%v in %d: %q, want %q", c.rates, c.width, got, c.want)
		}
	}
}

// A filter takes what is typed, but nothing that a terminal may obey.
func TestFilterTyped(t *testing.T) {
	s := newScreen(t, newFake(t), 80, 24, false).pass(2).press("/")
	s.typed("x", "a\x1b")
	s.press("q", "backspace")
	if s.filter != `a\x1b` || !s.typing {
		t.Errorf("filter %q", s.filter)
	}
	if s.press("ctrl+u", "z", "z", "enter"); !strings.Contains(s.shown(), "nothing has this text") {
		t.Errorf("filtered away:\n%s", s.shown())
	}
	if s.press("esc"); s.filter != "" {
		t.Error("Esc leaves the filter")
	}
}

func TestRates(t *testing.T) {
	f := newFake(t)
	s := newScreen(t, f, 80, 24, false).pass(1)
	if r := s.rates.rule(s.snap.Hits[0]).now(); r != 0 {
		t.Errorf("%v before there are two readings", r)
	}
	s.pass(1)
	if r := s.rates.rule(s.snap.Hits[1]).now(); r != 3 {
		t.Errorf("%v a second, want 3", r)
	}
	if r := s.rates.counters["steered"].now(); r != 12 {
		t.Errorf("steered %v a second, want 12", r)
	}
	f.hits["example.com wg0"] = func(int) uint64 { return 2 } // began anew
	if s.pass(1); s.rates.rule(s.snap.Hits[0]).now() != 2 {
		t.Error("a counter that began anew")
	}
	s.pass(200)
	if n := len(s.rates.rule(s.snap.Hits[0]).rates); n > remembered {
		t.Errorf("%d rates are kept", n)
	}
}
