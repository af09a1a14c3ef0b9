package warm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// TestOpenRoots: only regular files of root's, and none is opened to find out. A FIFO that nobody writes to would not let
// go of whoever opens it.
func TestOpenRoots(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	put := func(name string, mode os.FileMode, owner int) string {
		path := filepath.Join(dir, name)
		err := errors.Join(os.WriteFile(path, []byte(name), 0o600), os.Chmod(path, mode), os.Chown(path, owner, 0))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, users := put("good", 0o644, 0), put("users", 0o644, 4242)
	fifo, link, bad := filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "bad")
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.Symlink(good, link), os.Symlink(users, bad)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{good, ""},
		{link, ""},
		{users, "others than root can write"},
		{bad, "others than root can write"},
		{put("group", 0o664, 0), "others than root can write"},
		{put("others", 0o646, 0), "others than root can write"},
		{fifo, "is no regular file"},
		{"/dev/null", "is no regular file"},
		{dir, "is no regular file"},
		{filepath.Join(dir, "none"), "no such file"},
		{"unbound.conf", "cannot be told"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		file, err := within(ctx, func() (*os.File, error) { return openRoots(tt.path) })
		cancel()
		if err == nil {
			file.Close()
		}
		if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || tt.want != "" && !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
}

// TestToolGetsTheFile: what was looked at is what the tool reads, although the path leads to another file by then.
func TestToolGetsTheFile(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(path, []byte("looked at"), 0o644); err != nil {
		t.Fatal(err)
	}
	held, err := rootsFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, []byte("another"), 0o644)); err != nil {
		t.Fatal(err)
	}
	file, err := reopen(held)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	err = runTool(t.Context(), []*os.File{file}, "/bin/sh", "-c", "cat /proc/self/fd/3; exit 1")
	if want := `it says "looked at"`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestSharesRoot: a thread in another root directory is refused, as a container's process is.
func TestSharesRoot(t *testing.T) {
	needRoot(t)
	if err := sharesRoot("self"); err != nil {
		t.Errorf("our own: %v", err)
	}
	dir := t.TempDir()
	id, done := make(chan int), make(chan bool)
	var failed error
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		failed = errors.Join(unix.Unshare(unix.CLONE_FS), unix.Chroot(dir))
		id <- unix.Gettid()
		<-done
	}()
	thread := <-id
	if failed != nil {
		t.Fatal(failed)
	}
	if err := sharesRoot(fmt.Sprintf("self/task/%d", thread)); err == nil || !strings.Contains(err.Error(), "another root directory") {
		t.Errorf("another root directory: %v", err)
	}
	if _, err := flushUnbound(t.Context(), process{unbound, thread, ""}); err == nil || !strings.Contains(err.Error(), "another root directory") {
		t.Errorf("a flush: %v", err)
	}
	close(done)
	if err := sharesRoot("none"); err == nil {
		t.Error("no process: no error")
	}
}

// hiddenNow is what a thread without capabilities counts.
func hiddenNow(t *testing.T) int {
	t.Helper()
	var hidden int
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread has no capabilities afterwards
		var none [2]unix.CapUserData
		err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
		var findErr error
		_, hidden, findErr = findCaches()
		failed <- errors.Join(err, findErr)
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return hidden
}

// TestHidden: those that call themselves resolvers and cannot be looked at are counted.
func TestHidden(t *testing.T) {
	needRoot(t)
	before := hiddenNow(t)
	text, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), resolved)
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := hiddenNow(t); got != before+1 {
		t.Errorf("%d hidden, before %d", got, before)
	}
	if found, _, err := findCaches(); err != nil || len(found.of(resolved)) == 0 {
		t.Errorf("as root: %v, %v", found, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}

// TestNotSeen: what could not be looked at is told.
func TestNotSeen(t *testing.T) {
	if s := notSeen(0, nil); s != nil {
		t.Errorf("all seen: %v", s)
	}
	if s := notSeen(3, nil); s == nil || !strings.HasPrefix(s.String(),
		"flush: 3 that call themselves resolvers could not be looked at: root needs CAP_SYS_PTRACE") {
		t.Errorf("three hidden: %v", s)
	}
	if s := notSeen(0, unix.EMFILE); s == nil || !strings.HasPrefix(s.String(), "flush: no resolvers that cache were looked for: ") {
		t.Errorf("not looked for: %v", s)
	}
}
