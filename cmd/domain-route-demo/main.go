// Command domain-route-demo tells what domain-route does, by doing it: it makes a small internet in network namespaces, runs the
// real commands there one after the other, has ordinary programs connect, and shows which way the packets went. Every
// claim is checked, so it is a test too.
//
// Exit status: 0 everything went as told, 1 something did not, 2 usage, 3 not allowed (root is needed),
// 128 plus the signal's number after a signal. Whichever it is, nothing is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	// timeLimit is for the whole demo, which takes a few seconds; whatever takes longer hangs.
	timeLimit = time.Minute
)

func main() {
	if filepath.Base(os.Args[0]) == clientName {
		os.Exit(clientMain(os.Args[1:]))
	}
	bin := flag.String("bin", "bin/domain-route", "the domain-route `binary` to show")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "domain-route-demo: needs root, for network namespaces and BPF; run it by sudo")
		os.Exit(exitRefused)
	}
	lab.Isolate()
	unix.Umask(0o022) // the clients, which are not root, must be able to read the lab's files
	os.Exit(run(*bin))
}

// interruption is the end of the demo by a signal.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return "ended by a signal: " + i.signal.String() }

func run(bin string) int {
	ctx, cancel := watchSignals()
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(ctx, timeLimit, fmt.Errorf("it hangs: not done within %v", timeLimit))
	defer stop()

	out := newScreen(os.Stdout)
	err := tell(ctx, out, bin)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what failed because of that is of no interest
	}
	if err == nil {
		return 0
	}
	problems := newScreen(os.Stderr)
	var by interruption
	if errors.As(err, &by) {
		problems.line(plain, "domain-route-demo: %v", err)
		return 128 + int(by.signal)
	}
	problems.line(red, "domain-route-demo: FAILED: %v", err)
	return exitFailed
}

// watchSignals makes a context that ends with the first signal that would end the process.
func watchSignals() (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	// SIGPIPE is for a reader of the output that went away, as in `make demo | head`.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	go func() {
		cancel(interruption{(<-signals).(syscall.Signal)})
	}()
	return ctx, cancel
}

// tell makes the stage, plays the story on it and takes the stage down.
func tell(ctx context.Context, out *screen, bin string) (err error) {
	s, err := newStage(ctx, out, bin)
	if err != nil {
		return err
	}
	began := time.Now()
	defer func() {
		if err = errors.Join(err, s.lab.Close()); err == nil {
			out.line(plain, "")
			out.line(bold, "Everything went as told, in %.1f s. The lab is gone; nothing is left behind.", time.Since(began).Seconds())
			err = out.err
		}
	}()
	for i, step := range story {
		out.title("%d. %s", i+1, step.title)
		if err := step.play(s); err != nil {
			return fmt.Errorf("step %d, %q: %w", i+1, step.title, err)
		}
		if err := errors.Join(ctx.Err(), out.err); err != nil {
			return err
		}
	}
	return nil
}
