// Package watch tests the live events: that what happens is told, to whom it concerns, and that nothing is left when it ends.
package watch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// envFlood makes this binary one that connects as often as it says, and at most so often a second.
const envFlood = "WATCH_TEST_FLOOD"

func TestMain(m *testing.M) {
	if order := os.Getenv(envFlood); order != "" {
		if err := flood(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// flood connects a datagram socket to where it is refused, again and again: each is an event.
func flood(order string) error {
	var to string
	var times, pace int // a second; 0: as fast as it goes
	if _, err := fmt.Sscan(order, &to, &times, &pace); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(to)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	sa := &unix.SockaddrInet4{Port: 7, Addr: addr.As4()}
	begun := time.Now()
	for i := range times {
		if err := unix.Connect(fd, sa); !errors.Is(err, unix.EHOSTUNREACH) {
			return fmt.Errorf("connect %d: %w; want EHOSTUNREACH", i, err)
		}
		for pace > 0 && time.Since(begun) < time.Duration(i)*time.Second/time.Duration(pace) {
			time.Sleep(200 * time.Microsecond)
		}
	}
	return nil
}

// event is a line of watch --json.
type event struct {
	Time                                                                    time.Time
	Kind, Why, Comm, User, Name, Address, Protocol, Rule, Target, Interface string
	Observer                                                                string
	PID, UID, Port, Ifindex, TTL                                            int
	Events, Total                                                           uint64
}

// watcher is a running watch.
type watcher struct {
	t      testing.TB
	cmd    *lab.Cmd
	out    *os.File
	errs   bytes.Buffer // once it has ended
	ended  chan struct{}
	mu     sync.Mutex // guards what follows
	events []event
	lines  []string
}

// start runs watch with the arguments; read tells whether its output is read.
func start(t testing.TB, h *harness.Host, read bool, args ...string) *watcher {
	t.Helper()
	r, stdout, err := os.Pipe()
	check(t, err)
	w := &watcher{t: t, out: r, ended: make(chan struct{})}
	w.cmd = h.HostCommand(context.Background(), harness.Binary(t), append([]string{"watch"}, args...)...)
	w.cmd.Stdout, w.cmd.Stderr = stdout, &w.errs
	check(t, w.cmd.Start())
	stdout.Close()
	read1 := make(chan struct{})
	if read {
		go func() { defer close(read1); w.read() }()
	} else {
		close(read1)
	}
	go func() {
		_ = w.cmd.Wait()
		<-read1
		close(w.ended)
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		r.Close()
		<-w.ended
	})
	return w
}

func (w *watcher) read() {
	lines := bufio.NewScanner(w.out)
	for lines.Scan() {
		var e event
		if strings.HasPrefix(lines.Text(), "{") {
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				w.t.Errorf("%v in %q", err, lines.Text())
			}
		}
		w.mu.Lock()
		w.lines = append(w.lines, lines.Text())
		w.events = append(w.events, e)
		w.mu.Unlock()
	}
}

func (w *watcher) all() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]event(nil), w.events...)
}

// end waits for its end, and returns the exit code.
func (w *watcher) end() int {
	w.t.Helper()
	select {
	case <-w.ended:
	case <-time.After(15 * time.Second):
		w.t.Fatalf("it does not end: %s", w.errs.String())
	}
	return w.cmd.ProcessState.ExitCode()
}

func (w *watcher) signal(s os.Signal) {
	w.t.Helper()
	check(w.t, w.cmd.Process.Signal(s))
}

// world has sites of each kind, and a process that goes to them.
type world struct {
	*harness.Host
	t     testing.TB
	a     *lab.Agent
	sites map[string]lab.Host
}

var targets = map[string]string{"www.example.com": "vpn0", "ads.example": "block", "gone.example": "vpn9", "mark.example": "mark:0x23", "free.example": "direct"}

func newWorld(t testing.TB) *world {
	w := &world{Host: harness.Started(t), t: t, sites: map[string]lab.Host{}}
	for name, target := range targets {
		w.sites[name] = w.MustHost(name)
		w.Must("rule", "add", strings.TrimPrefix(name, "www."), target)
	}
	w.sites["plain.example"] = w.MustHost("plain.example")
	w.a = w.MustAgent(lab.AgentOptions{})
	return w
}

// visit asks for a name and connects to it.
func (w *world) visit(name string) {
	w.t.Helper()
	if _, err := w.a.Resolve(lab.Query{Name: name, Type: dns.TypeA}); err != nil {
		w.t.Fatal(err)
	}
	_, _ = w.a.DialTCP(netip.AddrPortFrom(w.sites[name].Addr4, lab.EchoPort))
}

// until visits until a watcher has seen something: it has begun to watch.
func (w *world) until(name string, watchers ...*watcher) {
	w.t.Helper()
	eventually(w.t, "the first event", func() bool {
		w.visit(name)
		for _, one := range watchers {
			if len(one.all()) == 0 {
				return false
			}
		}
		return true
	})
}

// flood has another process connect to where it is blocked.
func (w *world) flood(times, pace int) {
	w.t.Helper()
	cmd := w.Command(context.Background(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), envFlood+"="+w.sites["ads.example"].Addr4.String()+" "+strconv.Itoa(times)+" "+strconv.Itoa(pace))
	if out, err := cmd.CombinedOutput(); err != nil {
		var exit *exec.ExitError
		w.t.Fatalf("flood: %v, %v: %s", err, errors.As(err, &exit), out)
	}
}

// counts reads an output to its end, and counts its events and what it says was lost.
func counts(t testing.TB, r io.Reader) (events, lost uint64) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), []byte(`"kind":"lost"`)) {
			events++
			continue
		}
		var e event
		check(t, json.Unmarshal(lines.Bytes(), &e))
		lost = e.Total
	}
	check(t, lines.Err())
	return events, lost
}
