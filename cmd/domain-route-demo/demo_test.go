package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// envDemo makes the test binary be the demo.
const envDemo = "DOMAIN_ROUTE_TEST_DEMO"

func TestMain(m *testing.M) {
	if os.Getenv(envDemo) != "" || filepath.Base(os.Args[0]) == clientName {
		main()
		return
	}
	os.Exit(m.Run())
}

// demo prepares a demo of a domain-route binary, and has the test fail if it leaves anything behind.
func demo(t *testing.T, bin string) *exec.Cmd {
	t.Helper()
	harness.Need(t, os.Getuid() == 0, "root")
	cmd := exec.Command("/proc/self/exe", "-bin", bin)
	cmd.Env = append(os.Environ(), envDemo+"=1", "NO_COLOR=")
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		cgroups, err := lab.CgroupRoot()
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{os.TempDir(), cgroups} {
			left, err := filepath.Glob(fmt.Sprintf("%s/domain-route-lab-%d.*", dir, cmd.Process.Pid))
			if len(left) > 0 || err != nil {
				t.Errorf("left behind: %v %v", left, err)
			}
		}
	})
	return cmd
}

// wrapped is a domain-route that does something else when its arguments match the shell's pattern.
func wrapped(t *testing.T, args, instead string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "domain-route")
	script := fmt.Sprintf("#!/bin/sh\nreal='%s'\ncase \"$*\" in\n%s)\n%s ;;\nesac\nexec \"$real\" \"$@\"\n",
		harness.Binary(t), strings.ReplaceAll(args, " ", "\\ "), instead)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDemo(t *testing.T) {
	out, err := demo(t, harness.Binary(t)).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"# domain-route rule add example.com vpn0",
		"example.com vpn0",
		"www.example.com  198.51.100.1   vpn0       vpn0          vpn0             0    6",
		"ads.example      2001:db8:1::4  block      EHOSTUNREACH  EHOSTUNREACH     0    0",
		"www.example.com  2001:db8:1::1  vpn0       ENODEV  ENODEV     0    0",
		"   vpn0 is created again. Its index was 3 and is now 4.",
		"# domain-route stop",
		"stopped",
	} {
		if !strings.Contains("\n"+string(out), "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if bytes.ContainsRune(out, '\x1b') {
		t.Error("escape sequences outside a terminal")
	}
	for line := range strings.Lines(string(out)) {
		if n := len(line) - 1; n > usualWidth && !strings.HasPrefix(line, "domain-route: ") && !strings.HasPrefix(line, "# ") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

func TestDemoInColourOnATerminal(t *testing.T) {
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	cmd := demo(t, harness.Binary(t))
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdout = slave
	err = cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(master) // ends with EIO
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("\x1b[32mvpn0")) || !bytes.Contains(out, []byte("\x1b[31mENODEV")) {
		t.Errorf("no colours:\n%s", out)
	}
}

func TestDemoNoticesWhatIsNotAsTold(t *testing.T) {
	for _, tc := range []struct{ what, args, instead, problem string }{
		{"a rule not added", "rule add example.com vpn0", "exit 0", `rule list does not show "example.com vpn0"`},
		{"a rule that is not what it is shown as", "rule add ads.example block",
			`exec "$real" rule add ads.example direct`, `rule list does not show "ads.example block"`},
		{"a rule not deleted", "rule del example.com", "exit 0", `www.example.com (198.51.100.1): its rule says "vpn0"`},
		{"a command that fails", "rule list", "echo sorry >&2; exit 3", "exit status 3"},
		{"not stopped", "stop", "exit 0", "domain-route status: exit status 0, expected 1"},
		{"a process that stays", "start*", "sleep 3 >/dev/null 2>&1 &", "still run on the client: sleep"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			out, err := demo(t, wrapped(t, tc.args, tc.instead)).CombinedOutput()
			var exit *exec.ExitError
			_, verdict, _ := strings.Cut(string(out), "\ndomain-route-demo: FAILED: ")
			if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(verdict, tc.problem) {
				t.Errorf("%v, and it says: %s", err, verdict)
			}
		})
	}
}

func TestDemoWithoutBinary(t *testing.T) {
	out, err := demo(t, "/nonexistent/domain-route").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !bytes.Contains(out, []byte("make build")) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoWithoutRoot(t *testing.T) {
	cmd := demo(t, harness.Binary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: clientUser, Gid: clientUser}}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitRefused || !bytes.Contains(out, []byte("needs root")) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoEndedBySignal(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd := demo(t, wrapped(t, "rule list", "exec sleep 60"))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if lines.Text() == "# domain-route rule list" {
					break
				}
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, out)
			if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(signal) {
				t.Errorf("%v", cmd.ProcessState)
			}
		})
	}
}

// TestDemoWithoutReader is `make demo | head -n 1`.
func TestDemoWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// less than the demo writes, so that it cannot have ended before the reader goes away
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	cmd := demo(t, harness.Binary(t))
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReaderSize(r, 16).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 128+int(unix.SIGPIPE) {
		t.Errorf("%v", cmd.ProcessState)
	}
}
