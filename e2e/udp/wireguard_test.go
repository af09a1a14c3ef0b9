package udp

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

const wgPort = "51820"

// WireGuard in user space: one unconnected socket for all peers, kept for long. Its peer's name has a rule; the other
// end, which hears first on a port of its choice, has none.
func TestWireGuardGo(t *testing.T) {
	w := newWorld(t)
	const run = "/var/run/wireguard" // where it has its sockets, in the host's file system
	check(t, os.MkdirAll(run, 0o700))
	check(t, unix.Mount("wireguard", run, "tmpfs", 0, "mode=0700"))
	t.Cleanup(func() { _ = unix.Unmount(run, unix.MNT_DETACH) })
	bank := w.hosts["bank"]
	w.DNS.Set("bank.example", bank.Addr4)

	there, herePublic := w.wgKeys(t, "there"), w.wgKeys(t, "here")
	w.wgUp(t, w.Internet, "wgs0", netip.MustParsePrefix("10.9.0.1/24"),
		"private-key", filepath.Join(w.Dir, "there"), "listen-port", wgPort, "peer", herePublic, "allowed-ips", "10.9.0.2/32")
	w.ResetPackets()
	before := w.Counters()
	w.wgUp(t, w.Client, "wgc0", netip.MustParsePrefix("10.9.0.2/24"),
		"private-key", filepath.Join(w.Dir, "here"), "peer", there, "endpoint", "bank.example:"+wgPort, "allowed-ips", "10.9.0.0/24")
	began := time.Now()
	var c net.Conn
	check(t, w.Client.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", "10.9.0.1:7000", 10*time.Second)
		return err
	}))
	defer c.Close()
	took := time.Since(began)
	after := w.Counters()
	if n := after["send_again"] - before["send_again"]; n != 1 {
		t.Errorf("%d EINTR", n)
	}
	if by := w.leftTo(t, bank.Addr4); strings.Join(by, " ") != "vpn0" {
		t.Errorf("packets left by %v", by)
	}
	// It does not send again on EINTR, but makes the handshake anew after 5 s.
	if restarts() && took > 4*time.Second {
		t.Errorf("the handshake took %v", took)
	}
}

// wgKeys makes a private key in a file, and returns the public one.
func (w *world) wgKeys(t testing.TB, name string) string {
	t.Helper()
	private, err := exec.Command(tool(t, "wg"), "genkey").Output()
	check(t, err)
	check(t, os.WriteFile(filepath.Join(w.Dir, name), private, 0o600))
	cmd := exec.Command(tool(t, "wg"), "pubkey")
	cmd.Stdin = strings.NewReader(string(private))
	public, err := cmd.Output()
	check(t, err)
	return strings.TrimSpace(string(public))
}

// wgUp starts wireguard-go and sets its device up.
func (w *world) wgUp(t testing.TB, ns *lab.Namespace, device string, at netip.Prefix, config ...string) {
	t.Helper()
	w.start(t, ns, tool(t, "wireguard-go"), "-f", device)
	eventually(t, device+" to be there", func() bool {
		_, err := os.Stat("/var/run/wireguard/" + device + ".sock")
		return err == nil
	})
	cmd := w.CommandIn(t.Context(), ns, tool(t, "wg"), append([]string{"set", device}, config...)...)
	if ns == w.Client {
		cmd = w.Command(t.Context(), tool(t, "wg"), append([]string{"set", device}, config...)...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("wg set %s: %v\n%s", device, err, out)
	}
	out, err := w.CommandIn(t.Context(), ns, tool(t, "ip"), "addr", "add", at.String(), "dev", device).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := w.CommandIn(t.Context(), ns, tool(t, "ip"), "link", "set", device, "up").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
