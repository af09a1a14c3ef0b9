package warm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// The protocol of nscd: nscd/nscd-client.h of glibc. Numbers are the machine's own.
const (
	nscdSocket     = "/run/nscd/socket"
	nscdVersion    = 2
	nscdInvalidate = 10
	nscdDatabase   = "hosts\x00"
)

// invalidateHosts does what `nscd -i hosts` does. nscd takes it from root alone.
func invalidateHosts(ctx context.Context, p process) (string, error) {
	c, err := dialProcess(ctx, nscdSocket, func(peer *unix.Ucred) bool { return int(peer.Pid) == p.pid })
	if err != nil {
		return "", err
	}
	defer c.Close()
	request := binary.NativeEndian.AppendUint32(nil, nscdVersion)
	request = binary.NativeEndian.AppendUint32(request, nscdInvalidate)
	request = binary.NativeEndian.AppendUint32(request, uint32(len(nscdDatabase)))
	if _, err := c.Write(append(request, nscdDatabase...)); err != nil {
		return "", fmt.Errorf("tell it: %w", err)
	}
	var answer [4]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return "", fmt.Errorf("it does not answer: %w", err)
	}
	if code := binary.NativeEndian.Uint32(answer[:]); code != 0 {
		return "", fmt.Errorf("it refuses: %w", unix.Errno(code))
	}
	return "invalidating hosts", nil
}

var errOtherPeer = errors.New("another process answers at its socket")

// dialProcess connects to a unix socket if the process that listens there is the right one.
func dialProcess(ctx context.Context, path string, right func(*unix.Ucred) bool) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	var peer *unix.Ucred
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err == nil {
		var inner error
		err = raw.Control(func(fd uintptr) {
			peer, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		})
		err = errors.Join(err, inner)
	}
	if err == nil && !right(peer) {
		err = fmt.Errorf("%w: %s, pid %d", errOtherPeer, path, peer.Pid)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
