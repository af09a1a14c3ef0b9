package recipes

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/page"
)

// provider sets a WireGuard server up in the internet, and writes the file a provider would send for it. The client's
// end is made by wg-quick: of the kernel if it has WireGuard, else by wireguard-go. It is named wg0.
func (s *story) provider(endpoint string) {
	s.t.Helper()
	for _, name := range []string{"wg", "wg-quick", "wireguard-go"} {
		_, err := exec.LookPath(name)
		harness.Need(s.t, err == nil, name)
	}
	page.Hide(s.t, "/etc/wireguard")
	page.Hide(s.t, "/var/run/wireguard") // where wireguard-go has its sockets
	there, therePublic := s.wgKey()
	here, herePublic := s.wgKey()
	key := filepath.Join(s.Dir, "server.key")
	s.write(key, there+"\n")
	serve := s.CommandIn(s.t.Context(), s.Internet, "wireguard-go", "-f", "wgs0")
	check(s.t, serve.Start())
	s.t.Cleanup(func() { _ = serve.Process.Kill(); _ = serve.Wait() })
	s.internet("for i in $(seq 500); do [ -S /var/run/wireguard/wgs0.sock ] && break; sleep 0.01; done; " +
		"wg set wgs0 listen-port 51820 private-key " + key + " peer " + herePublic + " allowed-ips 10.66.0.2/32,fd00:66::2/128; " +
		"ip addr add 10.66.0.1/24 dev wgs0; ip addr add fd00:66::1/64 dev wgs0 nodad; ip link set wgs0 up")
	s.write("/etc/wireguard/wg0.conf", fmt.Sprintf(`[Interface]
PrivateKey = %s
Address = 10.66.0.2/32, fd00:66::2/128
DNS = 10.66.0.1
PostUp = true

[Peer]
PublicKey = %s
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = %s:51820
`, here, therePublic, endpoint))
	s.places[netip.MustParseAddr("10.66.0.2")] = "wg0"
	s.places[netip.MustParseAddr("fd00:66::2")] = "wg0"
}

// internet runs commands where the servers are.
func (s *story) internet(text string) {
	s.t.Helper()
	out, err := s.CommandIn(s.t.Context(), s.Internet, "sh", "-euc", text).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s\n%s", err, text, out)
	}
}

func (s *story) wgKey() (private, public string) {
	s.t.Helper()
	out, err := exec.Command("wg", "genkey").Output()
	check(s.t, err)
	cmd := exec.Command("wg", "pubkey")
	cmd.Stdin = strings.NewReader(string(out))
	pub, err := cmd.Output()
	check(s.t, err)
	return strings.TrimSpace(string(out)), strings.TrimSpace(string(pub))
}
