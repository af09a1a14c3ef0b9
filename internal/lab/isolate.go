package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// envIsolated names the process and its mount namespace, so that a child which inherits it is not taken for isolated.
	envIsolated = "DOMAIN_ROUTE_LAB_ISOLATED"
	// envAgent makes a copy of this binary run as an Agent.
	envAgent = "DOMAIN_ROUTE_LAB_AGENT"

	bpffsDir = "/sys/fs/bpf"
	// configDir is the host's configuration, which is none of the lab's.
	configDir = "/etc/domain-route"
)

// Isolate gives the process a private mount namespace and starts its binary afresh in it, with the same arguments,
// pid, standard streams and working directory. Call it first thing in main or TestMain. It returns only in the
// isolated process, and there without any bpffs at /sys/fs/bpf and with an empty /etc/domain-route, if there is one. In the processes that Lab.Agent starts it does not
// return but serves them. It ends the process with status 3 when the kernel refuses (root is needed).
//
// The binary is executed in place: there is no parent to forward exit codes or signals, and every mount made
// afterwards ends with the last process of the namespace, however that ends.
func Isolate() {
	if os.Getenv(envAgent) != "" {
		os.Exit(agentMain(os.Stdin, os.Stdout))
	}
	err := isolate()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lab: isolate:", err)
	os.Exit(3)
}

func isolate() error {
	if isolated() {
		if err := hideMount(bpffsDir); err != nil {
			return err
		}
		return hideDir(configDir)
	}
	// unshare acts on one thread; exec from it makes it the only one.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	id, err := isolationMark()
	if err != nil {
		return fmt.Errorf("name own mount namespace: %w", err)
	}
	env := append(withoutEnv(os.Environ(), envIsolated), envIsolated+"="+id)
	return fmt.Errorf("execute own binary again: %w", unix.Exec("/proc/self/exe", os.Args, env))
}

// isolated reports whether this process lives in a mount namespace made by Isolate.
func isolated() bool {
	id, err := isolationMark()
	return err == nil && os.Getenv(envIsolated) == id
}

func isolationMark() (string, error) {
	id, err := os.Readlink("/proc/thread-self/ns/mnt")
	return fmt.Sprint(os.Getpid(), " ", id), err
}

// hideMount unmounts whatever is mounted at dir, in this mount namespace only.
func hideMount(dir string) error {
	for {
		err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil // not a mount point (any more)
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
}

// hideDir mounts an empty directory over dir, if there is one, in this mount namespace only.
func hideDir(dir string) error {
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size=1m")
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("hide %s: %w", dir, err)
	}
	return nil
}

func withoutEnv(env []string, name string) []string {
	kept := make([]string, 0, len(env)+1)
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			kept = append(kept, e)
		}
	}
	return kept
}
