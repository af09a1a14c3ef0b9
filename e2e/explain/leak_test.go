package explain

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// A connection that the audit saw go unsteered is told, and what was learnt by it.
func TestLeak(t *testing.T) {
	h := harness.Started(t, "--audit")
	server := h.MustHost()
	h.Must("rule", "add", "hidden.test", "vpn0")
	var l net.Listener
	check(t, h.Internet.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(server.Addr4, 443).String())
		return err
	}))
	defer l.Close()
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	s, err := a.Socket("tcp4")
	check(t, err)
	check(t, s.Connect(netip.AddrPortFrom(server.Addr4, 443)))
	check(t, s.Send(harness.ClientHello(t, "hidden.test")))
	words := fmt.Sprintf("leak process %d (exe) of user %d connected to %v port 443 for hidden.test", a.PID, alice, server.Addr4)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r := h.Run("explain", "hidden.test", "--process", fmt.Sprint(a.PID))
		said := strings.Join(strings.Fields(r.Stdout), " ")
		if strings.Contains(said, words) && strings.Contains(said, "and was not steered") && r.Code == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("exit %d, no %q in\n%s%s", r.Code, words, r.Stdout, r.Stderr)
		}
	}
	says(t, h, 0, []string{server.Addr4.String() + " -> vpn0", "leak process"}, server.Addr4.String(), "--process", fmt.Sprint(a.PID))
}
