package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxPacket is the largest packet a tun device of this lab carries, in bytes.
const maxPacket = 65536

// makeTun makes a tun device in the client and one in the internet, and carries packets between them until the files
// are closed, which removes the devices.
func (l *Lab) makeTun(name, peer string) ([]*os.File, error) {
	var here, there *os.File
	err := l.Client.Do(func() (err error) { here, err = openTun(name); return err })
	if err != nil {
		return nil, err
	}
	err = l.Internet.Do(func() (err error) { there, err = openTun(peer); return err })
	if err != nil {
		here.Close()
		return nil, err
	}
	go carry(here, there)
	go carry(there, here)
	return []*os.File{here, there}, nil
}

func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make tun device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "tun "+name), nil
}

// carry copies packets one way until either side is closed. A packet for a device that is down is lost, as on a wire.
func carry(from, to *os.File) {
	b := make([]byte, maxPacket)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		_, _ = to.Write(b[:n])
	}
}

// closeTuns removes the tun devices that are left, whose files would keep the namespaces alive.
func (l *Lab) closeTuns() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.links {
		closeAll(u.tun)
		u.tun = nil
	}
	return nil
}
