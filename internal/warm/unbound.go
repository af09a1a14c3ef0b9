package warm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rootBins are where unbound-control is looked for: not beside the daemon, whose directory may be anybody's.
var rootBins = []string{"/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin", "/usr/local/bin"}

// flushUnbound runs `unbound-control flush_zone .` with the daemon's configuration. SIGHUP would do, too, but makes unbound read
// its configuration again, and end when it cannot: a start must not take a resolver down.
func flushUnbound(ctx context.Context, p process) (string, error) {
	name := strconv.Itoa(p.pid)
	if err := sharesRoot(name); err != nil {
		return "", err
	}
	tool, err := findControl()
	if err != nil {
		return "", err
	}
	cmdline, err := os.ReadFile("/proc/" + name + "/cmdline")
	if err != nil {
		return "", errEnded
	}
	var extra []*os.File
	args := []string{"flush_zone", "."}
	if conf := configOption(strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")); conf != "" {
		file, err := openRoots(conf)
		if err != nil {
			return "", err
		}
		defer file.Close()
		extra, args = []*os.File{file}, append([]string{"-c", "/proc/self/fd/3"}, args...)
	}
	if err := runTool(ctx, extra, tool, args...); err != nil {
		return "", fmt.Errorf("unbound-control: %w", err)
	}
	return "unbound-control flush_zone .", nil
}

func findControl() (string, error) {
	for _, dir := range rootBins {
		path := filepath.Join(dir, "unbound-control")
		f, err := rootsFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			f.Close()
		}
		return path, err
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

// sharesRoot refuses a process with another root directory than ours, such as a container's: the paths that it was
// given mean other files here.
func sharesRoot(pid string) error {
	var its, ours unix.Stat_t
	if err := unix.Stat("/proc/"+pid+"/root/", &its); err != nil {
		return fmt.Errorf("find its root directory: %w", err)
	}
	if err := unix.Stat("/", &ours); err != nil {
		return fmt.Errorf("find the root directory: %w", err)
	}
	if its.Dev != ours.Dev || its.Ino != ours.Ino {
		return errors.New("it has another root directory, as in a container")
	}
	return nil
}

// openRoots opens a file for reading, if it is root's.
func openRoots(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("where its configuration %.200q is cannot be told", path)
	}
	held, err := rootsFile(path)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	return reopen(held)
}

// reopen opens for reading the very file that is held, whatever its path leads to by now.
func reopen(held *os.File) (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
}

// rootsFile refuses what is no regular file, or what others than root can have written: what a service is told must not
// be what root obeys. It holds the file without opening it, as opening some devices does things.
func rootsFile(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%.200q is no regular file", path)
	case st.Uid != 0 || st.Mode&0o022 != 0:
		err = fmt.Errorf("others than root can write %.200q", path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// runTool runs a program, with more open files from descriptor 3 on, that does not outlive the context, nor this process.
func runTool(ctx context.Context, extra []*os.File, path string, args ...string) error {
	runtime.LockOSThread() // the parent-death signal is bound to the thread
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.ExtraFiles = extra
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
