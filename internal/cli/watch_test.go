package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// fakeEvents gives events until there are no more, and then ends with an error or waits.
type fakeEvents struct {
	events []dataplane.Event
	end    error
	lost   uint64
	closed bool
}

func (f *fakeEvents) Next(ctx context.Context) (dataplane.Event, error) {
	if len(f.events) > 0 {
		e := f.events[0]
		f.events = f.events[1:]
		return e, nil
	}
	if f.end != nil {
		return dataplane.Event{}, f.end
	}
	<-ctx.Done()
	return dataplane.Event{}, ctx.Err()
}

func (f *fakeEvents) Lost() uint64 { return f.lost }
func (f *fakeEvents) Close() error { f.closed = true; return nil }

func use(t testing.TB, f eventSource) {
	t.Helper()
	before := openEvents
	openEvents = func(dataplane.WatchOptions) (eventSource, error) { return f, nil }
	t.Cleanup(func() { openEvents = before })
}

func mustRule(t testing.TB, line string) ruleset.Rule {
	t.Helper()
	set := ruleset.New()
	if err := set.UnmarshalText([]byte(line)); err != nil {
		t.Fatal(err)
	}
	for r := range set.All() {
		return r
	}
	t.Fatalf("no rule in %q", line)
	return ruleset.Rule{}
}

func mustName(t testing.TB, s string) pattern.Name {
	t.Helper()
	n, err := pattern.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// someEvents are one of each of some kinds.
func someEvents(t testing.TB) []dataplane.Event {
	now := time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)
	rule := mustRule(t, "example.com wg0")
	steered := dataplane.Event{
		Time: now, Kind: dataplane.EventSteered, Why: "steered", PID: 1234, Comm: "curl", Name: mustName(t, "www.example.com"),
		Address: netip.MustParseAddr("192.0.2.1"), Port: 443, Protocol: "tcp", Ruled: true, Rule: rule, Interface: "wg0", Ifindex: 7,
	}
	learnt := steered
	learnt.Kind, learnt.Why, learnt.Port, learnt.Protocol, learnt.Interface, learnt.Ifindex = dataplane.EventLearnt, "learnt", 0, "", "", 0
	learnt.TTL, learnt.Observer = time.Minute, "sockets"
	refused := steered
	refused.Kind, refused.Why, refused.Interface, refused.Ifindex = dataplane.EventRefused, "no_interface", "", 0
	refused.Address, refused.PID, refused.Comm = netip.MustParseAddr("2001:db8:100:200:300:400:500:600"), 99, "a\x1b]0;evil\x07\u202eb\xff"
	unnamed := steered
	unnamed.Kind, unnamed.Name, unnamed.Ruled, unnamed.Rule, unnamed.Why, unnamed.Interface = dataplane.EventUnruled, "", false, ruleset.Rule{}, "no_rule", ""
	return []dataplane.Event{learnt, steered, refused, unnamed}
}

func watchFake(t *testing.T, env Env, f *fakeEvents, args ...string) (code int, out, errs string) {
	t.Helper()
	use(t, f)
	code, out, errs = run(env, "", append([]string{"watch"}, args...)...)
	if !f.closed {
		t.Error("the watcher was not closed")
	}
	return code, out, errs
}

func TestWatchTabs(t *testing.T) {
	code, out, errs := watchFake(t, Env{}, &fakeEvents{events: someEvents(t)}, "--count", "4")
	want := "2026-11-23T12:00:00.123456Z\tlearnt\tcurl\t1234\troot\twww.example.com\t192.0.2.1\t0\t-\texample.com\twg0\tlearnt\tsockets\n" +
		"2026-11-23T12:00:00.123456Z\tsteered\tcurl\t1234\troot\twww.example.com\t192.0.2.1\t443\ttcp\texample.com\twg0\tsteered\t-\n" +
		"2026-11-23T12:00:00.123456Z\trefused\t" + `a\x1b]0;evil\x07\u{202e}b\xff` + "\t99\troot\twww.example.com\t2001:db8:100:200:300:400:500:600\t443\ttcp\texample.com\t-\tno_interface\t-\n" +
		"2026-11-23T12:00:00.123456Z\tunruled\tcurl\t1234\troot\t-\t192.0.2.1\t443\ttcp\t-\t-\tno_rule\t-\n"
	if code != ExitDone || out != want || errs != "" {
		t.Errorf("exit %d, %q\n%s\nwant\n%s", code, errs, out, want)
	}
}

// Every line is one JSON object, whatever a process calls itself.
func TestWatchJSON(t *testing.T) {
	code, out, errs := watchFake(t, Env{}, &fakeEvents{events: someEvents(t), lost: 7}, "--json", "--count", "4")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != ExitDone || errs != "" || len(lines) != 5 {
		t.Fatalf("exit %d, %q, %s", code, errs, out)
	}
	type object struct {
		Time                                                                    time.Time
		Kind, Why, Comm, User, Name, Address, Protocol, Rule, Target, Interface string
		PID, UID, Port, Ifindex, TTL, Events, Total                             int
	}
	var all []object
	for _, line := range lines {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil || !utf8.ValidString(line) {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, o)
	}
	if o := all[0]; o.Kind != "learnt" || o.TTL != 60 || o.Target != "wg0" || o.Interface != "" {
		t.Errorf("learnt: %+v", o)
	}
	if o := all[1]; o.Kind != "steered" || o.PID != 1234 || o.Port != 443 || o.Interface != "wg0" || o.Ifindex != 7 || o.Rule != "example.com" || o.User != "root" {
		t.Errorf("steered: %+v", o)
	}
	if o := all[2]; o.Comm != "a\x1b]0;evil\x07\u202eb\ufffd" || strings.ContainsAny(lines[2], "\x1b\x07\u202e") {
		t.Errorf("refused: %+v in %q", o, lines[2])
	}
	if o := all[4]; o.Kind != "lost" || o.Events != 7 || o.Total != 7 {
		t.Errorf("lost: %+v", o)
	}
}

func TestWatchFilters(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--kind steered,refused", "steered refused"},
		{"--kind steered --kind learnt", "learnt steered"},
		{"--name example.com", "learnt steered refused"},
		{"--name =example.com", ""},
		{"--name *.example.com --kind learnt", "learnt"},
		{"--name 192.0.2.0/24", "learnt steered unruled"},
		{"--name 2001:db8:100:200:300:400:500:600", "refused"},
		{"--process curl", "learnt steered unruled"},
		{"--process 99", "refused"},
		{"--process 1", ""},
		{"--process curl --kind refused", ""},
	} {
		_, out, _ := watchFake(t, Env{}, &fakeEvents{events: someEvents(t), end: dataplane.ErrNotStarted}, strings.Fields(c.args)...)
		var kinds []string
		for line := range strings.Lines(out) {
			kinds = append(kinds, strings.Split(line, "\t")[1])
		}
		if got := strings.Join(kinds, " "); got != c.want {
			t.Errorf("%s shows %q, want %q", c.args, got, c.want)
		}
	}
}

// Of a name that two observers learn is told which of them did, at any width; and for how long where there is room.
func TestWatchObserver(t *testing.T) {
	learnt := someEvents(t)[0]
	for _, c := range []struct {
		target, observer string
		width            int
		want             string
	}{
		{"vpn0", "sockets", 15, "vpn0, sockets"},
		{"vpn0", "libc", 15, "vpn0, libc"},
		{"direct", "sockets", 15, "direct, sockets"},
		{"vpn0,wwan0,direct", "sockets", 15, "vpn0,~, sockets"},
		{"wwan0", "sockets", 21, "wwan0, sockets, 60 s"},
		{"wwan0", "", 15, "wwan0, 60 s"},
		{"wwan0", "libc", 3, "wwan0, libc"}, // the last column is not cut
	} {
		learnt.Rule, learnt.Observer = mustRule(t, "example.com "+c.target), c.observer
		l := newEventLines(false, 80)
		if got := where(&learnt, l.rule(&learnt), c.width); got != c.want {
			t.Errorf("%s by %s in %d: %q, want %q", c.target, c.observer, c.width, got, c.want)
		}
	}
}

// Lines follow the terminal to another width, with a heading where the columns are others.
func TestWatchResized(t *testing.T) {
	l := newEventLines(false, 80)
	e := someEvents(t)[1]
	same := string(l.event(nil, &e))
	l.width.Store(82)
	if got := string(l.event(nil, &e)); got != same {
		t.Errorf("two columns more: %q", got)
	}
	l.width.Store(200)
	if got := string(l.event(nil, &e)); !strings.HasPrefix(got, "TIME ") || !strings.Contains(got, "RULE") || strings.Count(got, "\n") != 2 {
		t.Errorf("wide: %q", got)
	}
	if got := string(l.event(nil, &e)); strings.Count(got, "\n") != 1 {
		t.Errorf("the heading comes again: %q", got)
	}
}

// Lines fit the terminal as long as the last column does, and nothing of what others say reaches it raw.
func TestWatchColumns(t *testing.T) {
	for _, width := range []int{60, 80, 100, 132, 200, 400} {
		l := newEventLines(false, width)
		events := someEvents(t)
		text := string(l.heading(nil))
		for i := range events {
			text += string(l.event(nil, &events[i]))
		}
		most := max(width, 80)
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if got := lipgloss.Width(line); got > most {
				t.Errorf("%d columns: %d in %q", width, got, line)
			}
			if strings.ContainsAny(line, "\x1b\x07\u202e") {
				t.Errorf("%d columns: raw text in %q", width, line)
			}
		}
		if width >= 132 && (!strings.Contains(text, "RULE") || !strings.Contains(text, "192.0.2.1:443/tcp")) {
			t.Errorf("%d columns: %s", width, text)
		}
		t.Logf("\n%s", text)
	}
}

func TestWatchEnds(t *testing.T) {
	stopped := &fakeEvents{events: someEvents(t)[:1], end: dataplane.ErrNotStarted}
	if code, out, errs := watchFake(t, Env{}, stopped); code != ExitNo || errs != "domain-route: domain-route was stopped\n" || strings.Count(out, "\n") != 1 {
		t.Errorf("stopped: exit %d, %q, %q", code, out, errs)
	}
	if code, out, errs := watchFake(t, Env{}, &fakeEvents{lost: 3}, "--for", "10ms"); code != ExitDone || out != "" || errs != "domain-route: lost: 3 events in all: they came faster than they were read\n" {
		t.Errorf("lost: exit %d, %q, %q", code, out, errs)
	}
	if code, _, errs := watchFake(t, Env{Stdout: full{}}, &fakeEvents{events: someEvents(t)}); code != ExitRefused || !strings.Contains(errs, "write to standard output: no room") {
		t.Errorf("no room: exit %d, %q", code, errs)
	}
	if code, _, errs := watchFake(t, Env{}, &fakeEvents{end: errors.New("broken")}); code != ExitRefused || !strings.Contains(errs, "broken") {
		t.Errorf("broken: exit %d, %q", code, errs)
	}
}

// That nobody reads any more ends it, also while nothing happens, and is no failure.
func TestWatchUnread(t *testing.T) {
	for _, events := range [][]dataplane.Event{nil, someEvents(t)} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if code, _, errs := watchFake(t, Env{Stdout: w}, &fakeEvents{events: events}); code != ExitDone || errs != "" {
			t.Errorf("%d events: exit %d, %q", len(events), code, errs)
		}
		w.Close()
	}
}

// slowly writes only what is allowed.
type slowly struct {
	next chan struct{}
	got  bytes.Buffer
}

func (s *slowly) Write(b []byte) (int, error) {
	if _, ok := <-s.next; !ok {
		return 0, io.ErrClosedPipe
	}
	return s.got.Write(b)
}

// What a slow reader has not read yet is not lost when the events are as many as asked for; and is bounded.
func TestPumpSlow(t *testing.T) {
	out := &slowly{next: make(chan struct{}, 100)}
	p := newPump(out)
	ctx, cancel := context.WithCancel(t.Context())
	line := bytes.Repeat([]byte("x"), pumpFull/2)
	for range 3 { // one is being written, or two fill it
		go p.add(ctx, func(b []byte) []byte { return append(b, line...) })
	}
	out.next <- struct{}{}
	out.next <- struct{}{}
	out.next <- struct{}{}
	out.next <- struct{}{}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		empty := len(p.waiting) == 0
		p.mu.Unlock()
		if empty && p.add(ctx, func(b []byte) []byte { return b }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not written")
		}
	}
	if err := p.finish(ctx, time.Second); err != nil {
		t.Error(err)
	}
	cancel()
	blocked := newPump(&slowly{next: make(chan struct{})})
	blocked.put(func(b []byte) []byte { return append(b, 'x') })
	if err := blocked.finish(ctx, 10*time.Millisecond); !errors.Is(err, errUnread) {
		t.Errorf("a reader that never reads: %v", err)
	}
}

func TestWatchUsage(t *testing.T) {
	for args, words := range map[string]string{
		"--kind stered":   "did you mean: --kind steered",
		"--kind x":        "there are learnt, steered,",
		"--name 1.2.3/x/": "",
		"--for -1s":       "--for -1s",
		"extra":           "takes no arguments",
	} {
		code, out, errs := run(Env{}, "", append([]string{"watch"}, strings.Fields(args)...)...)
		if code != ExitUsage || out != "" || !strings.Contains(errs, words) {
			t.Errorf("%s: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

func BenchmarkWatchJSON(b *testing.B) {
	l := newEventLines(true, 0)
	events := someEvents(b)
	var out []byte
	for i := 0; b.Loop(); i++ {
		out = l.event(out[:0], &events[i%2])
	}
}
