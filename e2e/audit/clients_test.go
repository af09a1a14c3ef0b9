package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// client is a program that connects to an address for a name that it looks up nowhere.
type client struct {
	name    string
	program string
	args    func(t *testing.T, h *harness.Host, to netip.AddrPort, name string) []string
	env     []string
}

const python = `
import socket, ssl, sys
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
s = c.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2])), 10), server_hostname=sys.argv[3])
s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"); assert s.recv(100)`

var clients = []client{
	{name: "go", program: "/proc/self/exe", env: []string{envChild + "=1"},
		args: func(_ *testing.T, _ *harness.Host, to netip.AddrPort, name string) []string {
			return []string{to.String(), name}
		}},
	{name: "curl", program: "curl",
		args: func(_ *testing.T, _ *harness.Host, to netip.AddrPort, name string) []string {
			return []string{"-skS", "--max-time", "10", "--resolve", fmt.Sprintf("%s:%d:[%s]", name, to.Port(), to.Addr()),
				fmt.Sprintf("https://%s:%d/", name, to.Port())}
		}},
	{name: "openssl", program: "openssl",
		args: func(_ *testing.T, _ *harness.Host, to netip.AddrPort, name string) []string {
			return []string{"s_client", "-quiet", "-no_ign_eof", "-connect", to.String(), "-servername", name}
		}},
	{name: "python", program: "/usr/bin/python3",
		args: func(_ *testing.T, _ *harness.Host, to netip.AddrPort, name string) []string {
			return []string{"-c", python, to.Addr().String(), fmt.Sprint(to.Port()), name}
		}},
	{name: "chromium", program: "/usr/lib/chromium/chromium",
		args: func(t *testing.T, h *harness.Host, to netip.AddrPort, name string) []string {
			home := t.TempDir()
			check(t, errors.Join(os.Chmod(filepath.Dir(home), 0o755), os.Chown(home, alice, alice)))
			return []string{"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
				"--disable-component-update", "--disable-sync", "--disable-breakpad", "--disable-quic", "--ignore-certificate-errors",
				"--user-data-dir=" + home, "--host-resolver-rules=MAP " + name + " " + strings.TrimSuffix(netip.AddrPortFrom(to.Addr(), 1).String(), ":1"), "--dump-dom",
				fmt.Sprintf("https://%s:%d/", name, to.Port())}
		}},
}

// run runs the client as a user, and fails the test unless it got its answer.
func (c *client) run(t *testing.T, h *harness.Host, uid uint32, to netip.AddrPort, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.Command(ctx, c.program, c.args(t, h, to, name)...)
	if uid != 0 {
		cmd.AsUser(uid)
	}
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8"}, c.env...)
	cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s as user %d: %v: %s", c.name, uid, err, out)
	}
}

// TestClients: each of them leaks once, is counted and listed, and from its second connection on is steered, be it by another
// process of the same user.
func TestClients(t *testing.T) {
	h := harness.Started(t, "--audit")
	h.Must("rule", "add", ruled, "vpn0")
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			_, err := exec.LookPath(c.program)
			harness.Need(t, err == nil, c.program)
			name := c.name + "." + ruled
			for _, ipv6 := range []bool{false, true} {
				s, v := newSite(t, h), look(t)
				a := s.Addr4
				if ipv6 {
					a = s.Addr6
				}
				to := netip.AddrPortFrom(a, tlsPort)
				c.run(t, h, alice, to, name)
				if c.name == "chromium" {
					s.first(t, name, "wan0")
				} else {
					s.expect(t, name, "wan0", "first")
					v.expect(t, "first", "hellos", "leaked")
				}
				got := leaks(h)
				if len(got) == 0 || got[0].Name != name || got[0].Address != a || got[0].Port != tlsPort || got[0].UID != alice || got[0].Comm == "" {
					t.Errorf("listed: %+v", got)
				}
				c.run(t, h, alice, to, name)
				if c.name == "chromium" {
					s.first(t, name, "vpn0")
					continue
				}
				s.expect(t, name, "vpn0", "second")
				v.expect(t, "second")
			}
		})
	}
}

// first fails the test unless the first visit went by the uplink; browsers make more than one.
func (s *site) first(t *testing.T, name, uplink string) {
	t.Helper()
	if got := s.took(); len(got) == 0 || got[0] != (visit{name, uplink}) {
		t.Errorf("the server saw %v, want the first for %s by %s", got, name, uplink)
	}
}
