package cli

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
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

// What is not known of an interface is not taken for its absence, which would close connections.
func TestFinder(t *testing.T) {
	broken := fmt.Errorf("find interface vpn0: %w", unix.ENOBUFS)
	asked := 0
	f := newFinder()
	f.ask = func(name string) (netdev.Device, error) {
		asked++
		switch name {
		case "wan0":
			return netdev.Device{Index: 7}, nil
		case "gone0":
			return netdev.Device{}, fmt.Errorf("%w: gone0", netdev.ErrNoDevice)
		case "vpn0":
			return netdev.Device{}, broken
		}
		return netdev.Device{}, unix.EPERM
	}
	for range 2 {
		if index, ok := f.find("wan0"); index != 7 || !ok {
			t.Errorf("wan0: %d, %v", index, ok)
		}
		if index, ok := f.find("gone0"); index != 0 || ok {
			t.Errorf("gone0: %d, %v", index, ok)
		}
	}
	if f.err != nil || asked != 2 {
		t.Errorf("%v after %d questions", f.err, asked)
	}
	vpn, err := ruleset.ParseTarget("vpn0")
	if err != nil {
		t.Fatal(err)
	}
	standing := dataplane.Standing{Decides: true, Ruled: true, Target: vpn}
	if _, err := decisions([]dataplane.Standing{standing}, f); !errors.Is(err, unix.ENOBUFS) || exitCode(err) != ExitRefused {
		t.Errorf("decision: %v", err)
	}
	f.find("other0")
	if !errors.Is(f.err, broken) {
		t.Errorf("%v, want the first", f.err)
	}
}

// A socket that stays open has a cure.
func TestOvershadowed(t *testing.T) {
	rows := []resetRow{{socket: netdev.Socket{Inode: 1}}}
	if err := overshadowed(rows, nil); err != nil {
		t.Errorf("closed meanwhile: %v", err)
	}
	err := overshadowed(rows, []netdev.Socket{rows[0].socket})
	var cure *dataplane.CureError
	if !errors.As(err, &cure) || exitCode(err) != ExitRefused {
		t.Errorf("%v, want a cure", err)
	}
}
