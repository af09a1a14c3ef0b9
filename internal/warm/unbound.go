package warm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rootBins are where unbound-control is looked for: not beside the daemon, whose directory may be anybody's.
var rootBins = []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"}

// flushUnbound runs `unbound-control flush_zone .` with the daemon's configuration. SIGHUP would do, too, but makes unbound read
// its configuration again, and end when it cannot: a start must not take a resolver down.
func flushUnbound(ctx context.Context, p process) (string, error) {
	tool, err := findControl()
	if err != nil {
		return "", err
	}
	cmdline, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cmdline")
	if err != nil {
		return "", errEnded
	}
	args := []string{"flush_zone", "."}
	if conf := configOption(strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")); conf != "" {
		if err := rootsFile(conf); err != nil {
			return "", err
		}
		args = append([]string{"-c", conf}, args...)
	}
	if err := runTool(ctx, tool, args...); err != nil {
		return "", fmt.Errorf("unbound-control: %w", err)
	}
	return "unbound-control flush_zone .", nil
}

func findControl() (string, error) {
	for _, dir := range rootBins {
		path := filepath.Join(dir, "unbound-control")
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, rootsFile(path)
		}
	}
	return "", errors.New("there is no unbound-control")
}

// configOption is what unbound was given by -c; empty: its default. Its options are -c FILE, -w FILE, and letters.
func configOption(cmdline []string) string {
	conf := ""
	for i := 1; i < len(cmdline); i++ {
		arg := cmdline[i]
		if arg == "--" || !strings.HasPrefix(arg, "-") {
			break
		}
		at := strings.IndexAny(arg, "cw")
		if at < 0 {
			continue
		}
		value := arg[at+1:]
		if value == "" && i+1 < len(cmdline) {
			i++
			value = cmdline[i]
		}
		if arg[at] == 'c' {
			conf = value
		}
	}
	return conf
}

// rootsFile refuses a file that others than root can have written: what a service is told must not be what root obeys.
func rootsFile(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("where its configuration %.200q is cannot be told", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Sys().(*syscall.Stat_t).Uid != 0 || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than root can write %.200q", path)
	}
	return nil
}

// runTool runs a program that does not outlive the context, nor this process.
func runTool(ctx context.Context, path string, args ...string) error {
	runtime.LockOSThread() // the parent-death signal is bound to the thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 50 * time.Millisecond
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return errors.New("it does not answer in time")
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("it says %.200q", lastLine(said.String()))
	}
	return err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
