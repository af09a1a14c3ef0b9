package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SetResolver makes /etc/resolv.conf of this mount namespace name one server, with options such as "use-vc" or "edns0".
func (l *Lab) SetResolver(addr netip.Addr, opts ...string) error {
	text := "nameserver " + addr.String() + "\n"
	if len(opts) > 0 {
		text += "options " + strings.Join(opts, " ") + "\n"
	}
	return l.SetFile("/etc/resolv.conf", text)
}

// SetNSSwitch sets the sources of host names in /etc/nsswitch.conf of this mount namespace, for example "files dns".
func (l *Lab) SetNSSwitch(hosts string) error {
	return l.SetFile("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: "+hosts+"\n")
}

// SetHosts sets the text of /etc/hosts of this mount namespace.
func (l *Lab) SetHosts(text string) error { return l.SetFile("/etc/hosts", text) }

// SetFile gives the existing file path another content, in this mount namespace and until Close; the file itself is not
// touched. The content is replaced in place, so the new modification time is what tells programs.
func (l *Lab) SetFile(path, text string) error {
	l.mu.Lock()
	target := l.bound[path]
	l.mu.Unlock()
	if target != "" {
		return os.WriteFile(target, []byte(text), 0o644)
	}
	target, err := filepath.EvalSymlinks(path) // mounting follows links; Close must unmount the same place
	if err != nil {
		return fmt.Errorf("bind over %s: %w", path, err)
	}
	source := filepath.Join(l.Dir, strings.ReplaceAll(strings.Trim(target, "/"), "/", "-"))
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		return fmt.Errorf("bind over %s: %w", path, err)
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind over %s: %w", target, err)
	}
	l.mu.Lock()
	l.bound[path] = target
	l.mu.Unlock()
	l.onClose(func() error { return unix.Unmount(target, unix.MNT_DETACH) })
	return nil
}
