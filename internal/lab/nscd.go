package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// nscdSocket is where the C library looks for nscd.
const nscdSocket = "/run/nscd/socket"

const nscdConf = `paranoia no
enable-cache passwd no
enable-cache group no
enable-cache services no
enable-cache netgroup no
enable-cache hosts yes
positive-time-to-live hosts 3600
check-files hosts no
persistent hosts no
shared hosts no
`

// StartNscd starts the C library's cache of host names. Where it is not installed its Debian package is unpacked, never installed.
// While the lab lives a private directory hides /run, in which the lab's programs find nscd.
func (l *Lab) StartNscd() (*Resolver, error) {
	path, err := nscdProgram()
	if err != nil {
		return nil, err
	}
	if err := l.privateRun(); err != nil {
		return nil, fmt.Errorf("start nscd: %w", err)
	}
	dir, conf := filepath.Dir(nscdSocket), filepath.Join(l.Dir, "nscd.conf")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("start nscd: %w", err)
	}
	if err := os.Chown(dir, resolverUID, resolverUID); err != nil {
		return nil, fmt.Errorf("start nscd: %w", err)
	}
	if err := os.WriteFile(conf, []byte(nscdConf), 0o644); err != nil {
		return nil, fmt.Errorf("start nscd: %w", err)
	}
	cmd := l.Command(context.Background(), path, "-F", "-f", conf).AsUser(resolverUID)
	cmd.Dir = "/"
	r := &Resolver{UID: resolverUID, cmd: cmd, log: new(bytes.Buffer), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start nscd: %w", err)
	}
	r.PID = cmd.Process.Pid
	go func() {
		_ = cmd.Wait()
		close(r.ended)
	}()
	l.onClose(func() error { return errors.Join(os.RemoveAll(dir)) })
	if err := await("nscd to listen", listening); err != nil {
		r.Stop()
		return nil, fmt.Errorf("%w; it wrote:\n%s", err, r.log)
	}
	return r, nil
}

func listening() (bool, error) {
	c, err := net.DialTimeout("unix", nscdSocket, time.Second)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, c.Close()
}

// nscdProgram finds nscd: installed, or unpacked from its package.
func nscdProgram() (string, error) {
	if path, err := findProgram("nscd"); err == nil {
		return path, nil
	}
	dir := filepath.Join(packageCache, "nscd")
	path := filepath.Join(dir, "usr/sbin/nscd")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := unpackPackages(dir, downloadScript, "nscd"); err != nil {
		return "", fmt.Errorf("get nscd: %w", err)
	}
	_, err := os.Stat(path)
	return path, err
}
