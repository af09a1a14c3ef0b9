package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// eventSource is a dataplane.Watcher, or a test's.
type eventSource interface {
	Next(ctx context.Context) (dataplane.Event, error)
	Lost() uint64
	Close() error
}

// openEvents begins to watch; tests put theirs in its place.
var openEvents = func(o dataplane.WatchOptions) (eventSource, error) {
	w, err := dataplane.Watch(o)
	switch {
	case errors.Is(err, dataplane.ErrNotStarted):
		return nil, startFirst(err)
	case errors.Is(err, dataplane.ErrTooManyWatchers):
		return nil, fmt.Errorf("%w; they are: pgrep -af 'domain-route (watch|top)'", err)
	case err != nil:
		return nil, err
	}
	return w, nil
}

// lostEvery is how often watch looks whether events were lost.
const lostEvery = 500 * time.Millisecond

// lastWords is how long what is left may take to be written once watch is told to end.
const lastWords = 300 * time.Millisecond

func (a *app) watch() *cobra.Command {
	var o watchOptions
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show events as they happen: names learnt, connections steered, blocked, refused, failed",
		Long: `Shows, a line each, the names that are learnt and what becomes of connections (of datagrams that are not connected: of the
first to a peer): time, kind, process, user, name, address, rule, interface, why, and for what is learnt the observer: two
may see the same answer.

Kinds: learnt (a name, for an address), steered, marked, direct (a rule leaves it alone), blocked (a rule refuses it),
refused (its rule cannot be followed now: no_interface, shared_socket), failed (the kernel refused the binding or the
mark), leak (it was not steered, and what it says in its first packet has a rule); with --all, unruled (no rule concerns
it) and left (the program's own binding or mark, another network namespace's, to an address of this host), too.

--name takes a pattern as in rules (example.com is it and its subdomains), an address or a prefix; --process a process
number or what the process calls itself. Why is the name of a counter: docs/counters.md explains them.

On a terminal: columns as wide as fits. Without: separated by tabs, times with date and zone, no heading. With --json (or
-o json): one JSON object a line. Who reads slowly loses events; how many is told on standard error, with --json by an
object of the kind "lost". At most four can watch at a time. Nothing is watched, and nothing costs, once it ends.

It ends by Ctrl-C, SIGTERM, --count, --for, or when nobody reads any more: exit 0. Exit 1: domain-route is not started, or was
stopped; 2: usage; 3: refused.`,
		Example: "  domain-route watch\n  domain-route watch --name example.com --kind steered,refused,failed\n  domain-route watch --process curl --json\n" +
			"  domain-route watch --json --for 10s | jq -r .name",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.json {
				a.output = "json"
			}
			filter, err := o.filter()
			if err != nil {
				return err
			}
			return a.watchEvents(o, filter)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "only events of this `pattern`, address or prefix")
	flags.StringVar(&o.process, "process", "", "only those of a process: its `number, or name` (comm)")
	flags.StringSliceVar(&o.kinds, "kind", nil, "only these `kinds`, separated by commas: "+strings.Join(kindNames(), ", "))
	flags.BoolVar(&o.all, "all", false, "connections that no rule concerns, too")
	flags.BoolVar(&o.json, "json", false, "the same as -o json: one object a line")
	flags.Uint64Var(&o.count, "count", 0, "end after so many events (0: never)")
	flags.DurationVar(&o.duration, "for", 0, "end after this `time`, such as 10s (0: never)")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("name", always(patternsAndNames))
	_ = cmd.RegisterFlagCompletionFunc("process", always(processWords))
	return cmd
}

// watchEvents shows events until it is told to end, or there are none any more.
func (a *app) watchEvents(o watchOptions, filter *eventFilter) error {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	// Without this a write to a pipe that nobody reads ends the process, with its slot still taken.
	signal.Ignore(unix.SIGPIPE)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source, err := openEvents(dataplane.WatchOptions{All: o.all || filter.wantsAll})
	if err != nil {
		return err
	}
	defer source.Close()
	to := a.Stdout
	if s, ok := to.(*sink); ok {
		to = s.to // a pipe that nobody reads is no lost output
	}
	w := &watching{a: a, source: source, filter: filter, count: o.count, out: newPump(to)}
	width := 0
	if f, ok := to.(*os.File); ok {
		go whileRead(ctx, f, cancel)
		if a.Terminal && a.output != "json" {
			width = terminalWidth(f)
		}
	}
	w.lines = newEventLines(a.output == "json", width)
	if width > 0 {
		defer w.lines.follow(to.(*os.File))()
	}
	w.out.add(ctx, w.lines.heading)
	reading := ctx
	if o.duration > 0 {
		var enough context.CancelFunc
		reading, enough = context.WithTimeout(ctx, o.duration)
		defer enough()
	}
	return w.run(ctx, reading)
}

// endings are the signals that end watch; one that whoever started it has ignored (nohup) stays so.
func endings() []os.Signal {
	all := []os.Signal{unix.SIGINT, unix.SIGTERM}
	if !signal.Ignored(unix.SIGHUP) {
		all = append(all, unix.SIGHUP)
	}
	return all
}

// whileRead cancels once nobody can read any more what is written to f. Only a pipe, a socket or a terminal says so.
func whileRead(ctx context.Context, f *os.File, cancel func()) {
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(f.Fd())}}
		n, err := unix.Poll(fds, 250)
		if err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			cancel()
			return
		}
	}
}

// terminalWidth is that of a terminal in columns; 80 where it does not say.
func terminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// follow has lines fit a terminal whose size changes, until what it returns is called.
func (l *eventLines) follow(f *os.File) (stop func()) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, unix.SIGWINCH)
	l.width.Store(int64(terminalWidth(f))) // it may have changed before
	go func() {
		for range changes {
			l.width.Store(int64(terminalWidth(f)))
		}
	}()
	return func() {
		signal.Stop(changes)
		close(changes)
	}
}

// watching is one run of watch.
type watching struct {
	a      *app
	source eventSource
	filter *eventFilter
	lines  *eventLines
	out    *pump
	count  uint64 // 0: without end
	told   uint64 // lost events
}

// run reads in one goroutine until reading ends, and writes in another: a slow reader of standard output holds up neither
// the end, which is that of ctx, nor the word of what was lost.
func (w *watching) run(ctx, reading context.Context) error {
	reading, enough := context.WithCancel(reading)
	defer enough()
	read := make(chan error, 1)
	go func() { read <- w.read(reading) }()
	ticker := time.NewTicker(lostEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-read:
			w.tellLost(true)
			return w.end(err, w.out.finish(ctx, lastWords))
		case err := <-w.out.failed:
			enough()
			return w.end(stopped(<-read), err)
		case <-ticker.C:
			w.tellLost(false)
		}
	}
}

// stopped is what reading ended with where writing had failed already: whoever closes the source must be the only one at it,
// and waits for this.
func stopped(read error) error {
	if errors.Is(read, dataplane.ErrNotStarted) {
		return nil
	}
	return read
}

// read shows events until the context ends, there are no more, or they are as many as asked for.
func (w *watching) read(ctx context.Context) error {
	for shown := uint64(0); w.count == 0 || shown < w.count; {
		e, err := w.source.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !w.filter.wants(&e) {
			continue
		}
		if !w.out.add(ctx, func(b []byte) []byte { return w.lines.event(b, &e) }) {
			return nil
		}
		shown++
	}
	return nil
}

// tellLost tells of events that were lost since it last did, and at the end of all.
func (w *watching) tellLost(last bool) {
	lost := w.source.Lost()
	if more := lost - w.told; more > 0 || last && lost > 0 {
		w.told = lost
		if w.a.output == "json" {
			w.out.put(func(b []byte) []byte { return appendLost(b, time.Now(), more, lost) })
			return
		}
		if last {
			w.a.warn("lost: %d events in all: they came faster than they were read", lost)
		} else {
			w.a.warn("lost: %d events", more)
		}
	}
}

// end is what reading and writing ended with: that nobody reads any more is no failure.
func (w *watching) end(read, written error) error {
	switch {
	case errors.Is(read, dataplane.ErrNotStarted):
		w.a.warn("domain-route was stopped")
		return errNo
	case read != nil:
		return read
	case errors.Is(written, unix.EPIPE), errors.Is(written, errUnread), errors.Is(written, io.ErrClosedPipe), errors.Is(written, unix.EIO):
		return nil
	case written != nil:
		return fmt.Errorf("write to standard output: %w", written)
	}
	return nil
}
