package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A condition is looked at again after shortestPoll, then ever less often down to every longestPoll, until settleTime.
const (
	shortestPoll = 50 * time.Microsecond
	longestPoll  = 5 * time.Millisecond
	settleTime   = 5 * time.Second
)

// Namespace is an anonymous network namespace with a thread of its own. Nothing but the processes in it and this
// object keeps it alive.
type Namespace struct {
	// NL speaks netlink in the namespace, from any goroutine.
	NL *netlink.Handle

	fd   netns.NsHandle
	work chan func()
}

// NewNamespace makes a network namespace with loopback up, no reverse-path filter, no router advertisements and no
// duplicate address detection.
func NewNamespace() (*Namespace, error) {
	ns := &Namespace{fd: netns.None(), work: make(chan func())}
	ready := make(chan error)
	go ns.thread(ready)
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	var err error
	if ns.NL, err = netlink.NewHandleAt(ns.fd, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink in new namespace: %w", err), ns.Close())
	}
	if err := errors.Join(ns.Do(quietSysctls), ns.up("lo")); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// thread owns one OS thread for the life of the namespace: processes started from it carry a parent-death signal that
// is bound to the thread, not to the process.
func (ns *Namespace) thread(ready chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if unix.Gettid() == os.Getpid() {
		// The runtime never ends the main thread. While this goroutine holds it the next one gets another.
		restarted := make(chan error)
		go ns.thread(restarted)
		ready <- <-restarted
		runtime.UnlockOSThread()
		return
	}
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		ns.fd, err = netns.GetFromPath("/proc/thread-self/ns/net")
	}
	ready <- err
	if err != nil {
		return
	}
	for f := range ns.work {
		f()
	}
}

// Do runs f on the thread of the namespace and returns its error: sockets opened and processes started by f, not by
// goroutines that f starts, belong to the namespace. f must not call Do of the same namespace nor end the goroutine
// (as testing.T.FailNow does).
func (ns *Namespace) Do(f func() error) error {
	done := make(chan error)
	ns.work <- func() { done <- f() }
	return <-done
}

// Close ends the namespace's thread, and so every process started from it.
func (ns *Namespace) Close() error {
	close(ns.work)
	if ns.NL != nil {
		ns.NL.Close()
	}
	return ns.fd.Close()
}

// ID names the namespace as in /proc/PID/ns/net, for example "net:[4026532000]".
func (ns *Namespace) ID() string {
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.fd), &st); err != nil {
		return ""
	}
	return fmt.Sprintf("net:[%d]", st.Ino)
}

// Fd is the namespace's descriptor, for setns; it stays owned by the Namespace.
func (ns *Namespace) Fd() int { return int(ns.fd) }

// up sets a link up.
func (ns *Namespace) up(name string) error {
	link, err := ns.NL.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if err := ns.NL.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %s up: %w", name, err)
	}
	return nil
}

// quietSysctls must run on the namespace's thread: /proc/sys/net shows the namespace of the task that opens it.
func quietSysctls() error {
	values := []struct{ file, value string }{
		{"ipv4/conf/%s/rp_filter", "0"},
		{"ipv6/conf/%s/accept_dad", "0"},
		{"ipv6/conf/%s/accept_ra", "0"},
		{"ipv6/conf/%s/disable_ipv6", "0"},
	}
	for _, v := range values {
		for _, scope := range []string{"all", "default"} {
			file := "/proc/sys/net/" + fmt.Sprintf(v.file, scope)
			if err := os.WriteFile(file, []byte(v.value), 0); err != nil {
				return fmt.Errorf("set sysctl: %w", err)
			}
		}
	}
	// any user may ping, so that tests of other users can
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0); err != nil {
		return fmt.Errorf("set sysctl: %w", err)
	}
	return nil
}

// await polls cond until it is true, fails, or settleTime is over.
func await(what string, cond func() (bool, error)) error {
	deadline := time.Now().Add(settleTime)
	for pause := shortestPoll; ; pause = min(2*pause, longestPoll) {
		ok, err := cond()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: not within %v", what, settleTime)
		}
		time.Sleep(pause)
	}
}
