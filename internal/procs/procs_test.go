package procs

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A made-up /proc: several holders, descriptors that are no sockets, processes that end while they are looked at.
func TestHolders(t *testing.T) {
	proc := t.TempDir()
	make := func(pid, comm, status string, files map[string]string) {
		dir := filepath.Join(proc, pid)
		check(t, os.MkdirAll(filepath.Join(dir, "fd"), 0o755))
		if comm != "" {
			check(t, os.WriteFile(filepath.Join(dir, "comm"), []byte(comm+"\n"), 0o644))
		}
		check(t, os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o644))
		for fd, to := range files {
			check(t, os.Symlink(to, filepath.Join(dir, "fd", fd)))
		}
	}
	make("12", "b", "Name:\tb\nUid:\t1001\t0\t0\t0\nGid:\t5\n", map[string]string{"3": "socket:[100]", "4": "pipe:[7]", "5": "socket:[999]"})
	make("7", "x\n", "Name:\tx\\nUid:\t5\nUid:\t0\t0\t0\t0\n", map[string]string{"9": "socket:[100]", "10": "socket:[200]", "11": "/tmp/socket:[300]"})
	make("9", "", "", map[string]string{"3": "socket:[100]"}) // ends after its files were listed
	check(t, os.Mkdir(filepath.Join(proc, "8"), 0o755))       // ended before
	check(t, os.Mkdir(filepath.Join(proc, "sys"), 0o755))
	found, _, err := holders(proc, map[uint64]bool{100: true, 200: true, 300: true})
	check(t, err)
	if len(found) != 2 || len(found[100]) != 2 || len(found[200]) != 1 ||
		found[100][0] != (Process{7, 0, "x\n", 9}) || found[100][1] != (Process{12, 1001, "b", 3}) || found[200][0].FD != 10 {
		t.Errorf("%+v", found)
	}
	if found, _, err := holders(filepath.Join(proc, "none"), nil); err != nil || len(found) > 0 {
		t.Errorf("nothing to look for: %v, %v", found, err)
	}
}

// Borrowing changes nothing of the socket, above all not that it does not block.
func TestBorrow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	check(t, err)
	var p Process
	var inode uint64
	check(t, raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		check(t, unix.Fstat(int(fd), &st))
		inode, p = st.Ino, Process{PID: uint32(os.Getpid()), FD: int(fd)}
	}))
	found, _, err := Holders(map[uint64]bool{inode: true})
	check(t, err)
	if len(found[inode]) != 1 || found[inode][0].PID != p.PID || found[inode][0].FD != p.FD || found[inode][0].UID != uint32(os.Getuid()) {
		t.Errorf("%+v, want %+v", found, p)
	}
	called := false
	check(t, p.Borrow(inode, func(fd int) error {
		called = true
		return nil
	}))
	if !called {
		t.Error("not lent")
	}
	check(t, raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("flags %x, %v: the socket blocks now", flags, err)
		}
	}))
	never := func(int) error {
		t.Error("another file was lent")
		return nil
	}
	if err := p.Borrow(inode+1, never); !errors.Is(err, ErrGone) {
		t.Errorf("another socket: %v", err)
	}
	p.FD = 100000
	if err := p.Borrow(inode, never); !errors.Is(err, ErrGone) {
		t.Errorf("a descriptor that is none: %v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
