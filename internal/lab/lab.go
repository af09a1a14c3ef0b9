// Package lab is a small internet in network namespaces, for the demo, the end-to-end tests and the benches: a client
// with several uplinks, an internet with servers and DNS, processes with identities of their own. Everything in it
// ends with the process that made it, even by SIGKILL, but an empty cgroup and an empty directory; the next New removes those.
package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Options shape a Lab. The zero value is the usual lab: wan0 with the default route, vpn0 with one of a high metric.
type Options struct {
	// NoVPNRoute leaves out the default routes by vpn0.
	NoVPNRoute bool
	// NoSniffer leaves out the packet counter, which costs time on every packet.
	NoSniffer bool
}

// Lab is a client and an internet joined by uplinks. Its methods may be called from any goroutine.
type Lab struct {
	// Client is where the programs under test run.
	Client *Namespace
	// Internet is where servers and the name server run.
	Internet *Namespace
	// DNS is the name server; it listens on every server address, and first on DNS.Addr4 and DNS.Addr6.
	DNS *DNS
	// Cgroup is the lab's own cgroup v2 directory.
	Cgroup string
	// Dir is a private directory (tmpfs) readable by every user, gone with the lab.
	Dir string

	cgroupFD  *os.File
	hits      hitLog
	sniffer   *sniffer
	mu        sync.Mutex // guards what follows
	links     map[string]*uplink
	slots     int
	hosts     int
	bound     map[string]string // bind-mounted path -> its target
	closers   []func() error    // run last to first by Close
	closeOnce sync.Once
	closeErr  error
}

// New makes a lab. It needs root and a process made by Isolate. Labs of several processes do not meet; those of one
// process share its mounts (/etc/resolv.conf), so have one at a time.
func New(o Options) (*Lab, error) {
	if !isolated() {
		return nil, errors.New("make lab: call lab.Isolate first thing in main or TestMain")
	}
	l := &Lab{links: map[string]*uplink{}, bound: map[string]string{}}
	if err := l.build(o); err != nil {
		return nil, errors.Join(fmt.Errorf("make lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(o Options) error {
	name := labName()
	steps := []func() error{
		func() error { return l.makeDir(name) },
		func() error { return l.makeCgroup(name) },
		l.makeNamespaces,
		func() error { return l.startSniffer(o) },
		l.startServers,
		l.startDNS,
		func() error { return l.AddUplink("wan0", UplinkOptions{Metric: wanMetric}) },
		func() error { return l.AddUplink("vpn0", UplinkOptions{NoDefaultRoute: o.NoVPNRoute}) },
		func() error { return l.SetNSSwitch("files dns") },
		func() error { return l.SetResolver(l.DNS.Addr4) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every process of the lab and removes everything it made. Calls after the first return the same error.
func (l *Lab) Close() error {
	l.closeOnce.Do(func() {
		var errs []error
		for i := len(l.closers) - 1; i >= 0; i-- {
			errs = append(errs, l.closers[i]())
		}
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}

// onClose must not run beside Close.
func (l *Lab) onClose(f func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers = append(l.closers, f)
}

func (l *Lab) makeDir(name string) error {
	base := os.TempDir()
	// Only empty directories are left over: the tmpfs went with its mount namespace.
	if err := sweep(base, unix.Rmdir); err != nil {
		return err
	}
	l.Dir = filepath.Join(base, name)
	if err := os.Mkdir(l.Dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	l.onClose(func() error { return os.Remove(l.Dir) })
	if err := unix.Mount("lab", l.Dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", l.Dir, err)
	}
	l.onClose(func() error { return unix.Unmount(l.Dir, unix.MNT_DETACH) })
	return nil
}

func (l *Lab) makeCgroup(name string) error {
	dir, err := newCgroup(name)
	if err != nil {
		return err
	}
	l.Cgroup = dir
	l.onClose(func() error { return removeCgroup(dir) })
	l.cgroupFD, err = os.Open(dir)
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	l.onClose(l.cgroupFD.Close)
	return nil
}

func (l *Lab) makeNamespaces() error {
	for _, ns := range []**Namespace{&l.Internet, &l.Client} {
		made, err := NewNamespace()
		if err != nil {
			return err
		}
		*ns = made
		l.onClose(made.Close)
	}
	l.onClose(l.closeTuns)
	return nil
}
