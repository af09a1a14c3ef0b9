// Package inject runs a program whose system calls fail, or during which it is killed, where a test says so: by number,
// counted over all its threads, so that every run with the same program meets the same points.
//
// A seccomp filter hands the watched calls to the test (seccomp_unotify(2)); nothing else is slowed down.
package inject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// Verdict is what becomes of a watched call.
type Verdict struct {
	Errno unix.Errno // not 0: the call is not made and gives this
	Kill  bool       // the program is killed by SIGKILL, and the call not made
}

// Options shape a run.
type Options struct {
	// Started, if set, is told the program's process id.
	Started func(pid int)
	// Watch lists the numbers of the system calls that On is asked about.
	Watch []int
	// On is asked before each watched call; n counts them from 1. It runs in a goroutine of Run's.
	On func(n int, call int) Verdict
	// NoCgroup2 unmounts every cgroup v2 before the program starts, for it alone.
	NoCgroup2 bool
	// OldKernel makes uname(2) tell a version 2.6, as by `setarch --uname-2.6`.
	OldKernel bool
}

// Result is what a run came to.
type Result struct {
	Stdout, Stderr string
	Code           int  // exit code; -1 after a kill
	Calls          int  // watched calls met, the one that killed included
	Killed         bool // by a Verdict
}

// envStage carries a stage, as JSON, to the copy of the test binary that becomes the program.
const envStage = "DOMAIN_ROUTE_TEST_INJECT"

// stage is what is done between fork and exec.
type stage struct {
	Program              string
	Args                 []string
	Watch                []int
	NoCgroup2, OldKernel bool
}

// Main becomes the program in the processes that Run starts, and returns at once in others. Call it first thing in TestMain.
func Main() {
	text := os.Getenv(envStage)
	if text == "" {
		return
	}
	var s stage
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = s.become()
	}
	fmt.Fprintln(os.Stderr, "inject:", err)
	os.Exit(99)
}

// Run runs a program in the lab's client namespace, outside its cgroup, to its end or one minute.
func Run(l *lab.Lab, o Options, program string, args ...string) (Result, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return Result{}, err
	}
	defer ours.Close()
	text, err := json.Marshal(stage{program, args, o.Watch, o.NoCgroup2, o.OldKernel})
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := l.HostCommand(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), envStage+"="+string(text))
	cmd.ExtraFiles = []*os.File{theirs}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return Result{}, fmt.Errorf("start %s: %w", program, err)
	}
	if o.Started != nil {
		o.Started(cmd.Process.Pid)
	}
	r := Result{}
	var failed error
	if len(o.Watch) > 0 {
		failed = r.supervise(ours, cmd.Process, o.On)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		failed = errors.Join(failed, err)
	}
	r.Stdout, r.Stderr, r.Code = out.String(), errs.String(), cmd.ProcessState.ExitCode()
	if r.Code == 99 {
		failed = errors.Join(failed, errors.New(r.Stderr))
	}
	return r, failed
}

// supervise answers for the watched calls until the program has ended.
func (r *Result) supervise(ours *os.File, p *os.Process, on func(n, call int) Verdict) error {
	l, err := receive(ours)
	if err != nil {
		return err
	}
	defer l.close()
	for {
		c, err := l.next()
		if err != nil || c == nil {
			return err
		}
		r.Calls++
		v := on(r.Calls, c.number)
		if v.Kill {
			r.Killed = true
			if err := p.Kill(); err != nil {
				return fmt.Errorf("kill: %w", err)
			}
			continue
		}
		if err := l.answer(c, v.Errno); err != nil {
			return err
		}
	}
}
