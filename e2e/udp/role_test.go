package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// envRole makes a copy of this binary run as one of the programs under test.
const envRole = "DOMAIN_ROUTE_UDP_ROLE"

// playRole returns the exit code.
func playRole(role string, args []string) int {
	roles := map[string]func([]string) error{"hammer": hammer, "quic": quicClient}
	if err := roles[role](args); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// hammer ADDRESS:PORT SOCKETS: two threads send by one new socket at the same moment, again and again.
func hammer(args []string) error {
	to, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	rounds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var round, done atomic.Int64
	var fd atomic.Int64
	failed := make(chan error, 2*rounds)
	runtime.GOMAXPROCS(4) // so that nobody waits for a spinning thread to give way
	for range 2 {
		go func() {
			runtime.LockOSThread()
			for i := int64(1); i <= int64(rounds); i++ {
				for spins := 1; round.Load() < i; spins++ {
					if spins%10000 == 0 {
						runtime.Gosched()
					}
				}
				if err := sendUntilTaken(int(fd.Load()), to); err != nil {
					failed <- err
				}
				done.Add(1)
			}
		}()
	}
	for i := range int64(rounds) {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fd.Store(int64(s))
		round.Store(i + 1)
		for done.Load() < 2*(i+1) {
			runtime.Gosched()
		}
		if err := unix.Close(s); err != nil {
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func sendUntilTaken(fd int, to netip.AddrPort) error {
	for {
		err := unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
