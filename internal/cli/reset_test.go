package cli

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
)

// A socket that the kernel finds only once another one is closed, one that is gone, and a kernel that cannot.
func TestCloseAll(t *testing.T) {
	rows := []resetRow{}
	for inode := range uint64(4) {
		rows = append(rows, resetRow{socket: netdev.Socket{Inode: inode}})
	}
	tries := 0
	last := false
	closed, missed, err := closeAll(rows, func(s *netdev.Socket) (bool, error) {
		tries++
		switch s.Inode {
		case 0:
			return last, nil // hidden by the last
		case 1:
			return false, nil // gone
		case 3:
			last = true
		}
		return true, nil
	})
	if err != nil || len(closed) != 3 || closed[2].socket.Inode != 0 || len(missed) != 1 || missed[0].socket.Inode != 1 || tries != 7 {
		t.Errorf("closed %v, missed %v, %v, after %d tries", closed, missed, err, tries)
	}
	closed, _, err = closeAll(rows, func(s *netdev.Socket) (bool, error) {
		if s.Inode == 1 {
			return false, netdev.ErrNoDestroy
		}
		return true, nil
	})
	var cure *dataplane.CureError
	if len(closed) != 1 || !errors.Is(err, dataplane.ErrRefused) || !errors.As(err, &cure) {
		t.Errorf("closed %v, %v; want the one before the failure, and a cure", closed, err)
	}
	if _, _, err = closeAll(rows, func(*netdev.Socket) (bool, error) { return false, unix.EPERM }); !errors.Is(err, unix.EPERM) {
		t.Errorf("%v, want EPERM", err)
	}
	if exitCode(resetError(netdev.ErrNoDiag)) != ExitRefused || exitCode(resetError(netdev.ErrNoDestroy)) != ExitRefused {
		t.Error("exit codes: want 3")
	}
}
