package events

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

const connectOften = "connect-often"

// flood is what came of connecting often.
type flood struct {
	Connects int
	Took     time.Duration // all of it
	Inside   time.Duration // in the system call
	Longest  time.Duration
}

// connectMany connects a datagram socket so many times, so many a second (0: as it comes), as a process of its own.
func connectMany(address, times, rate string) {
	to := netip.MustParseAddr(address)
	n, _ := strconv.Atoi(times)
	perSecond, _ := strconv.Atoi(rate)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		panic(err)
	}
	var f flood
	start := time.Now()
	for i := range n {
		for perSecond > 0 && time.Since(start) < time.Duration(i)*time.Second/time.Duration(perSecond) {
			continue // pauses would be longer than what is between two
		}
		before := time.Now()
		_ = unix.Connect(fd, &unix.SockaddrInet4{Addr: to.As4(), Port: 7})
		took := time.Since(before)
		f.Connects++
		f.Inside += took
		f.Longest = max(f.Longest, took)
	}
	f.Took = time.Since(start)
	_ = json.NewEncoder(os.Stdout).Encode(f)
	os.Exit(0)
}

// run floods from a process of the lab's cgroup.
func run(t *testing.T, h *harness.Host, to netip.Addr, times, rate int) (f flood) {
	t.Helper()
	cmd := h.Command(context.Background(), "/proc/self/exe", connectOften, to.String(), strconv.Itoa(times), strconv.Itoa(rate))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// blocked is a lab with a name that is blocked, so that connects to it cost little else, and its address.
func blocked(t *testing.T) (*harness.Host, netip.Addr) {
	t.Helper()
	h := harness.Started(t)
	h.Must("rule", "add", "blocked.example", "block")
	to := h.MustHost("blocked.example").Addr4
	resolve(t, h.MustAgent(lab.AgentOptions{}), "blocked.example", to)
	return h, to
}

// count reads so many events, or until none come any more.
func count(t *testing.T, w *dataplane.Watcher, most int) (n int) {
	t.Helper()
	for n < most {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err := w.Next(ctx)
		cancel()
		if err != nil {
			return n
		}
		n++
	}
	return n
}

// Who does not read loses events, and knows exactly how many; who reads beside loses none.
func TestLossesAreCounted(t *testing.T) {
	h, to := blocked(t)
	slow, quick := watch(t, dataplane.WatchOptions{}), watch(t, dataplane.WatchOptions{})
	const connects = 60_000 // for half of them there is room
	read := make(chan int, 1)
	go func() { read <- count(t, quick, connects) }()
	run(t, h, to, connects, 50_000)
	if n := <-read; n != connects || quick.Lost() != 0 {
		t.Errorf("who read was told of %d and lost %d of %d", n, quick.Lost(), connects)
	}
	n := count(t, slow, connects)
	lost := slow.Lost()
	if n < 30_000 || lost == 0 || n+int(lost) != connects {
		t.Errorf("who did not was told of %d and lost %d of %d", n, lost, connects)
	}
	if c := h.Counters()["event_lost"]; c != lost {
		t.Errorf("%d are counted as lost, want %d", c, lost)
	}
}

// 50,000 events a second do not keep programs from connecting. Bounds are generous: others use the machine.
func TestFloodStallsNobody(t *testing.T) {
	h, to := blocked(t)
	const connects, rate = 50_000, 50_000
	before := run(t, h, to, connects, rate)
	w := watch(t, dataplane.WatchOptions{})
	read := make(chan int, 1)
	go func() { read <- count(t, w, connects) }()
	after := run(t, h, to, connects, rate)
	n := <-read
	t.Logf("unwatched %v a connect, at most %v, in %v; watched %v, at most %v, in %v; told of %d, lost %d",
		before.Inside/connects, before.Longest, before.Took, after.Inside/connects, after.Longest, after.Took, n, w.Lost())
	if n+int(w.Lost()) != connects {
		t.Errorf("told of %d and lost %d of %d", n, w.Lost(), connects)
	}
	if after.Longest > before.Longest+200*time.Millisecond {
		t.Errorf("the longest connect took %v, without watching %v", after.Longest, before.Longest)
	}
	if extra := (after.Inside - before.Inside) / connects; extra > 20*time.Microsecond {
		t.Errorf("watching costs %v a connect", extra)
	}
	// What nobody wants is not told: connects without a rule.
	other := h.MustHost("other.example").Addr4
	run(t, h, other, 1000, 0)
	none(t, w)
}
