package config

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// apply --reset closes what would now go elsewhere, whatever rule it is by; with --dry-run it only lists it.
func TestApplyReset(t *testing.T) {
	s := startedSite(t)
	to := s.MustHost("www.example.com")
	a := s.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(a, "www.example.com"))
	conn, err := a.Socket("tcp4")
	check(t, err)
	defer conn.Close()
	check(t, conn.Connect(netip.AddrPortFrom(to.Addr4, lab.EchoPort)))
	_, _, err = conn.Recv()
	check(t, err)
	s.write("config.yaml", "rules: [{match: example.com, target: vpn0}]\n")
	var got struct {
		Added int
		Reset *struct {
			Sockets []struct{ Remote netip.AddrPort }
		}
	}
	for _, dry := range []bool{true, false} {
		args := []string{"apply", "--reset", "-o", "json"}
		if dry {
			args = append(args, "--dry-run")
		}
		decode(t, s.must(args...), &got)
		if got.Added != 1 || got.Reset == nil || len(got.Reset.Sockets) != 1 || got.Reset.Sockets[0].Remote.Addr() != to.Addr4 {
			t.Fatalf("dry run %v: %+v", dry, got)
		}
		if dry {
			check(t, conn.Send([]byte("x")))
			_, _, err = conn.Recv()
			check(t, err)
		}
	}
	if _, _, err := conn.Recv(); !errors.Is(err, lab.Errno("ECONNABORTED")) {
		t.Errorf("it goes on: %v", err)
	}
}
