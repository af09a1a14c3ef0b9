package lab

import (
	"fmt"
	"os"
	"path/filepath"
)

// StartUnbound starts unbound (Debian: unbound) on 127.0.0.1:53.
func (l *Lab) StartUnbound() (*Resolver, error) { return l.startUnbound("") }

// StartUnboundControlled is StartUnbound with remote control by a unix socket, as Debian sets unbound up.
func (l *Lab) StartUnboundControlled() (*Resolver, error) {
	dir := filepath.Join(l.Dir, "unbound")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("configure unbound: %w", err)
	}
	if err := os.Chown(dir, resolverUID, resolverUID); err != nil {
		return nil, fmt.Errorf("configure unbound: %w", err)
	}
	return l.startUnbound(fmt.Sprintf(`remote-control:
	control-enable: yes
	control-use-cert: no
	control-interface: %s
`, filepath.Join(dir, "control")))
}

// startUnbound starts unbound with more clauses in its configuration, which is unbound.conf in the lab's directory.
func (l *Lab) startUnbound(clauses string) (*Resolver, error) {
	conf := filepath.Join(l.Dir, "unbound.conf")
	text := fmt.Sprintf(`server:
	interface: 127.0.0.1
	directory: "/"
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	do-daemonize: no
	num-threads: 1
	module-config: "iterator"
	local-zone: "test." nodefault
	do-not-query-localhost: no
%sforward-zone:
	name: "."
	forward-addr: %s
`, clauses, l.DNS.Addr4)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("configure unbound: %w", err)
	}
	return l.startResolver(loopback(1), "unbound", "-d", "-p", "-c", conf)
}
