package reset

import (
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
	server := h.MustHost()
	to := addrPort(via.UDP4, server)
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		check(t, h.Client.Do(func() error {
			opened := func() int {
				fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
				check(t, err)
				check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
				check(t, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})) // no TIME-WAIT
				check(t, unix.Bind(fd, &unix.SockaddrInet4{Port: 40200}))
				check(t, unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}))
				return fd
			}
			listed := func() netdev.Socket {
				all, err := netdev.Sockets(-1)
				check(t, err)
				i := slices.IndexFunc(all, func(s netdev.Socket) bool { return s.Local.Port() == 40200 })
				if i < 0 {
					t.Fatalf("not listed: %+v", all)
				}
				return all[i]
			}
			first := opened()
			old := listed()
			check(t, unix.Close(first))
			second := opened()
			defer unix.Close(second)
			if done, err := old.Destroy(); done || err != nil {
				t.Errorf("kind %d: closed %v, %v; want neither", kind, done, err)
			}
			now := listed()
			if code, err := unix.GetsockoptInt(second, unix.SOL_SOCKET, unix.SO_ERROR); code != 0 || err != nil || now.Same(&old) {
				t.Errorf("kind %d: the socket that came after: error %d, %v", kind, code, err)
			}
			if done, err := now.Destroy(); !done || err != nil {
				t.Errorf("kind %d: %v, %v; want it closed", kind, done, err)
			}
			return nil
		}))
	}
}
