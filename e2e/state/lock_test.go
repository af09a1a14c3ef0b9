package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// heldLock gives the outcome of commands that met a lock held for ever. They take 20 s to give up, so TestMain lets them
// run beside the other tests, in mounts of their own.
var heldLock <-chan waited

type waited struct {
	results map[string]harness.Result
	took    time.Duration
	err     error
}

func holdLock() <-chan waited {
	done := make(chan waited, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, whose mounts are its own, ends
		var w waited
		w.err = w.run()
		done <- w
	}()
	return done
}

// run holds the lock in a mount namespace of the thread's own, and runs commands there. None of them would attach
// anything if it got the lock.
func (w *waited) run() error {
	bin := os.Getenv(harness.BinaryEnv)
	if bin == "" {
		bin = "../../bin/domain-route"
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("bpf", inkernel.BPFFS, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpffs: %w", err)
	}
	if err := os.Mkdir(inkernel.Base, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(inkernel.Base)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	w.results = map[string]harness.Result{}
	began := time.Now()
	commands := map[string]*exec.Cmd{}
	for _, args := range []string{"rule list", "stop", "rule add a.test vpn0"} {
		cmd := exec.Command(bin, strings.Fields(args)...)
		cmd.Stdout, cmd.Stderr = &strings.Builder{}, &strings.Builder{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return err
		}
		commands[args] = cmd
	}
	for args, cmd := range commands {
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			return err
		}
		w.results[args] = harness.Result{
			Stdout: fmt.Sprint(cmd.Stdout), Stderr: fmt.Sprint(cmd.Stderr), Code: cmd.ProcessState.ExitCode(),
		}
	}
	w.took = time.Since(began)
	return nil
}

// The lock is the kernel's: it goes with a holder that is killed, and those who wait go on at once.
func TestKilledHolderFreesTheLock(t *testing.T) {
	h := harness.New(t, lab.Options{})
	start(h)
	h.Must("rule", "add", "old.test", "vpn0")
	holding, kill := make(chan struct{}), make(chan struct{})
	holder := make(chan inject.Result, 1)
	go func() {
		r, err := inject.Run(h.Lab, inject.Options{Watch: []int{unix.SYS_BPF}, On: func(n, _ int) inject.Verdict {
			if n < 20 { // by then it has the lock: opening the maps alone takes more
				return inject.Verdict{}
			}
			close(holding)
			<-kill
			return inject.Verdict{Kill: true}
		}}, harness.Binary(t), "rule", "add", "new.test", "vpn0")
		if err != nil {
			t.Error(err)
		}
		holder <- r
	}()
	<-holding
	waiting, met := runUntilLocked(t, h, "rule", "list")
	if !<-met {
		t.Fatal("a command did not wait for the one that holds the lock")
	}
	killed := time.Now()
	close(kill)
	if r := <-holder; !r.Killed {
		t.Errorf("the holder was not killed: %+v", r)
	}
	if r := <-waiting; r.Stdout != "old.test vpn0\n" {
		t.Errorf("rule list: %+v", r)
	}
	if took := time.Since(killed); took > 5*time.Second {
		t.Errorf("the next command came through %v after the holder's death", took)
	}
}

// runUntilLocked runs a command, and tells true when it waits for a lock, or false if it never did.
func runUntilLocked(t *testing.T, h *harness.Host, args ...string) (<-chan inject.Result, <-chan bool) {
	t.Helper()
	done, ended, met, pid := make(chan inject.Result, 1), make(chan struct{}), make(chan bool, 1), make(chan int, 1)
	go func() {
		r, err := inject.Run(h.Lab, inject.Options{Started: func(p int) { pid <- p }}, harness.Binary(t), args...)
		if err != nil {
			t.Error(err)
		}
		close(ended)
		done <- r
	}()
	go func() {
		p := <-pid
		for !waitsForLock(p) {
			select {
			case <-ended:
				met <- false
				return
			case <-time.After(time.Millisecond):
			}
		}
		met <- true
	}()
	return done, met
}

// waitsForLock tells whether a process waits for a flock, see proc_locks(5).
func waitsForLock(pid int) bool {
	b, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "->" && f[2] == "FLOCK" && f[5] == strconv.Itoa(pid) {
			return true
		}
	}
	return false
}
