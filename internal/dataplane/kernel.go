package dataplane

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The oldest kernel we run on: bpf_set_retval and bpf_loop are in, and Debian 12 has it.
var oldest = version{6, 1}

type version struct{ major, minor int }

// checkHost refuses early, and in one line, what cannot work.
func checkHost() error {
	if err := checkKernel(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return refusedf("run it as root, by sudo", "not root")
	}
	if err := checkCapabilities(); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, ^uintptr(0), 0, 0)
	if errno == unix.ENOSYS || errno == unix.EPERM {
		return refusedf("boot a kernel with CONFIG_BPF_SYSCALL, or leave the container that forbids it",
			"the kernel does not let us use BPF: %w", errno)
	}
	if _, err := os.Stat(kernelTypes); err != nil {
		return refusedf("boot a kernel with CONFIG_DEBUG_INFO_BTF", "the kernel does not tell its types: %w", err)
	}
	return nil
}

// kernelTypes is where the kernel describes its own structures: the programs look at the parents of a process.
const kernelTypes = "/sys/kernel/btf/vmlinux"

func checkKernel() error {
	release, err := kernelRelease()
	if err != nil {
		return err
	}
	old, err := olderThan(release, oldest)
	if err != nil {
		return err
	}
	if old {
		return refusedf("boot a newer one", "kernel %s is too old: domain-route needs %d.%d or later",
			release, oldest.major, oldest.minor)
	}
	return nil
}

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("ask for the kernel's version: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

func olderThan(release string, than version) (bool, error) {
	var v version
	if _, err := fmt.Sscanf(release, "%d.%d", &v.major, &v.minor); err != nil {
		return false, fmt.Errorf("read the kernel's version %q: %w", release, err)
	}
	return v.major < than.major || (v.major == than.major && v.minor < than.minor), nil
}

// netnsCookie identifies the network namespace we run in, the way BPF programs see it.
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("ask for the network namespace's cookie: %w", err)
	}
	return cookie, nil
}

// bootTime is the clock of the BPF programs, in nanoseconds.
func bootTime() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// clockTime is when a boot time was, by the clock as it is now.
func clockTime(boot uint64) time.Time {
	return time.Now().Add(-time.Duration(int64(bootTime() - boot))).Round(0)
}
