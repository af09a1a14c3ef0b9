// Command init is process 1 of the virtual machines that vmtest/run starts. It prepares the system, runs the test binary, tells
// the exit code on the serial console and switches the machine off.
//
// What it runs is laid down in the initramfs: /bin/vm.test, its arguments in /vmtest/args and its environment in /vmtest/env
// (one a line), kernel modules in /vmtest/modules (loaded in the order of their names). If there is /vmtest/disk, it makes way for
// the program named there instead, on the disk.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	testBinary = "/bin/vm.test"
	// exitLine begins the line by which the host decides. The host takes a missing one for a failure.
	exitLine = "VMTEST-EXIT"
	// exitSetup is told when the tests could not be started. The test binary itself ends with 0, 1 or 2.
	exitSetup = 120
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Println("vmtest init:", err)
		code = exitSetup
	}
	fmt.Printf("\n%s %d\n", exitLine, code)
	powerOff()
}

func run() (int, error) {
	if program, err := lines(diskFile); err == nil && len(program) == 1 {
		return 0, bootDisk(program[0])
	}
	if err := prepare(); err != nil {
		return 0, err
	}
	if err := announce(); err != nil {
		return 0, err
	}
	args, err := lines("/vmtest/args")
	if err != nil {
		return 0, err
	}
	env, err := lines("/vmtest/env")
	if err != nil {
		return 0, err
	}
	return runTests(args, env)
}

// announce tells which kernel this is and how many seconds it took to get here.
func announce() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("asking for the kernel's name: %w", err)
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return err
	}
	seconds, _, _ := strings.Cut(string(uptime), " ")
	fmt.Printf("VMTEST-KERNEL %s %s, up after %s s\n",
		unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Version[:]), seconds)
	return nil
}

// runTests runs the test binary to its end and returns its exit code; 128 + n if signal n ended it.
func runTests(args, env []string) (int, error) {
	env = append([]string{"PATH=/bin", "HOME=/root", "TMPDIR=/tmp"}, env...)
	process, err := os.StartProcess(testBinary, append([]string{testBinary}, args...), &os.ProcAttr{
		Dir: "/tmp", Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, fmt.Errorf("starting the tests: %w", err)
	}
	for {
		// Any child, not only this one: orphans of the tests become children of process 1, which has to reap them.
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, fmt.Errorf("waiting for the tests: %w", err)
		case pid != process.Pid:
			continue
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}

// powerOff does not return. Output is on a serial line that the host reads as it comes, so there is nothing to flush.
func powerOff() {
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("vmtest init: powering off:", err)
	}
	os.Exit(1) // process 1 ending is a kernel panic, and with panic=-1 that too ends the machine
}

// lines returns the lines of a file that are not empty.
func lines(path string) ([]string, error) {
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' }), nil
}
