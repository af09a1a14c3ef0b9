package warm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// recorderEnv makes a copy of this binary tell which signals it gets. Its value is a socket to listen at, never to answer
// there, or "-".
const recorderEnv = "DOMAIN_ROUTE_SIGNAL_RECORDER"

// record is the recorder itself. SIGTERM ends it.
func record() int {
	got := make(chan os.Signal, 100)
	signal.Notify(got, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGTERM)
	// What every process may call itself.
	_ = os.WriteFile("/proc/self/comm", []byte("dnsmasq"), 0)
	if path := os.Getenv(recorderEnv); path != "-" {
		if _, err := net.Listen("unix", path); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("ready")
	for s := range got {
		if s == unix.SIGTERM {
			return 0
		}
		fmt.Println(s)
	}
	return 1
}

// recorder is a process that calls itself what it likes.
type recorder struct {
	pid int
	cmd *lab.Cmd
	out *bufio.Reader
}

// startRecorder runs a copy of this binary, by name, in a directory of its own.
func startRecorder(t *testing.T, h *harness.Host, name string, ns *lab.Namespace, uid uint32, owner int, socket string) *recorder {
	t.Helper()
	dir, err := os.MkdirTemp(h.Dir, "bin-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "/proc/self/exe", path)
	if err := os.Chown(path, owner, owner); err != nil {
		t.Fatal(err)
	}
	r := &recorder{cmd: h.CommandIn(t.Context(), ns, path).AsUser(uid)}
	r.cmd.Env = append(os.Environ(), recorderEnv+"="+socket)
	r.cmd.Dir = "/"
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.pid = r.cmd.Process.Pid
	if line, err := r.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the recorder says %q, %v", line, err)
	}
	return r
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err != nil || closed != nil {
		t.Fatal(err, closed)
	}
}

// signals ends the recorder and tells what it got before.
func (r *recorder) signals(t *testing.T) string {
	t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	all, err := io.ReadAll(r.out)
	if err != nil {
		t.Error(err)
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("the recorder ended by %v", err)
	}
	return strings.TrimSpace(string(all))
}
