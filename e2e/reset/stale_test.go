package reset

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/netdev"
)

// A socket that was listed and closed since is not confused with one that came after it, at the same addresses.
func TestStaleListing(t *testing.T) {
	h := harness.New(t, lab.Options{})
	to := addrPort(via.UDP4, h.MustHost())
	for what, kind := range map[string]int{"UDP": unix.SOCK_DGRAM, "TCP": unix.SOCK_STREAM} {
		if err := h.Client.Do(func() error { return replace(kind, to) }); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

const replacedPort = 40200

// replace closes a socket behind its listing's back, and opens another one in its place.
func replace(kind int, to netip.AddrPort) error {
	first, err := openReplaced(kind, to)
	if err != nil {
		return err
	}
	old, err := listReplaced()
	if err := errors.Join(err, unix.Close(first)); err != nil {
		return err
	}
	second, err := openReplaced(kind, to)
	if err != nil {
		return err
	}
	defer unix.Close(second)
	if done, err := old.Destroy(); done || err != nil {
		return errors.Join(fmt.Errorf("closed by the old listing: %v; want neither that nor an error", done), err)
	}
	now, err := listReplaced()
	if err != nil || now.Same(&old) {
		return errors.Join(fmt.Errorf("the socket that came after: %+v", now), err)
	}
	if done, err := now.Destroy(); !done || err != nil {
		return errors.Join(fmt.Errorf("closed by its own listing: %v; want it to be", done), err)
	}
	return nil
}

func openReplaced(kind int, to netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), // no TIME-WAIT
		unix.Bind(fd, &unix.SockaddrInet4{Port: replacedPort}),
		unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
}

func listReplaced() (netdev.Socket, error) {
	all, err := netdev.Sockets(-1)
	i := slices.IndexFunc(all, func(s netdev.Socket) bool { return s.Local.Port() == replacedPort })
	if err != nil || i < 0 {
		return netdev.Socket{}, errors.Join(fmt.Errorf("not listed: %+v", all), err)
	}
	return all[i], nil
}
