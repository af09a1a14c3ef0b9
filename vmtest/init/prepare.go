package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

type mount struct {
	kind, at, options string
	flags             uintptr
}

// The first three are what every guest has, one with a disk included. bpffs is left out on purpose: mounting it is one of the things under test.
var mounts = []mount{
	{"proc", "/proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"sysfs", "/sys", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"devtmpfs", "/dev", "mode=755", unix.MS_NOSUID},
	{"cgroup2", "/sys/fs/cgroup", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"tmpfs", "/tmp", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	{"tmpfs", "/run", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
	{"tmpfs", "/etc", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
	{"tmpfs", "/root", "mode=700", unix.MS_NOSUID | unix.MS_NODEV},
}

// etc holds what the Go standard library, and the tests that become another user, look for.
var etc = map[string]string{
	"hosts":         "127.0.0.1 localhost vmtest\n::1 localhost\n",
	"hostname":      "vmtest\n",
	"nsswitch.conf": "hosts: files dns\n",
	"resolv.conf":   "nameserver 127.0.0.1\n",
	"passwd":        "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"group":         "root:x:0:\nnogroup:x:65534:\n",
}

func prepare() error {
	for _, m := range mounts {
		if err := mountOne(m); err != nil {
			return err
		}
	}
	for name, text := range etc {
		if err := os.WriteFile(filepath.Join("/etc", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("vmtest")); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := loadModules(); err != nil {
		return err
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		return fmt.Errorf("looking for IPv6, which should be built in: %w", err)
	}
	return bringUp("lo")
}

func mountOne(m mount) error {
	if err := os.MkdirAll(m.at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.options); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", m.kind, m.at, err)
	}
	return nil
}

// parameters of modules. Without this one the dummy module brings a device dummy0, a name that tests may want themselves.
var parameters = map[string]string{"dummy.ko": "numdummies=0"}

// loadModules loads every file in /vmtest/modules; their names begin with a number that is right for their dependencies.
func loadModules() error {
	files, err := filepath.Glob("/vmtest/modules/*.ko")
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := loadModule(path); err != nil {
			return fmt.Errorf("loading %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, name, _ := strings.Cut(filepath.Base(path), "-")
	if err := unix.FinitModule(int(f.Fd()), parameters[name], 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

func bringUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return fmt.Errorf("reading the flags of %s: %w", name, err)
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}
