package vm

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// audit: a connection to a name that nobody asked for leaks, and is listed and told; the next one is steered.
func audit(t *testing.T, h *harness.Host, a *lab.Agent) {
	w := watch(t)
	hello := harness.ClientHello(t, "www.hidden.test")
	server := h.MustHost()
	var want []leak // the latest first
	for kind, to := range map[via.Kind]netip.Addr{via.TCP4: server.Addr4, via.TCP6: server.Addr6} {
		s, err := a.Socket(map[via.Kind]string{via.TCP4: "tcp4", via.TCP6: "tcp6"}[kind])
		check(t, err)
		check(t, s.Connect(netip.AddrPortFrom(to, lab.EchoPort)))
		from, err := s.LocalAddr()
		check(t, err)
		if u := h.Uplink("wan0"); from.Addr() != u.Addr4 && from.Addr() != u.Addr6 {
			t.Errorf("the first connection left from %v", from)
		}
		check(t, s.Send(hello))
		next(t, w, a, fmt.Sprintf("learnt audit www.hidden.test %v by hidden.test vpn0", to))
		next(t, w, a, fmt.Sprintf("leak tcp www.hidden.test %v by hidden.test vpn0", to))
		want = append([]leak{{"www.hidden.test", to, lab.EchoPort, a.PID, alice}}, want...)
		wantOut(t, h, a, server, "vpn0", kind)
		next(t, w, a, fmt.Sprintf("steered tcp www.hidden.test %v by hidden.test vpn0 vpn0", to))
	}
	var status struct{ Leaks []leak }
	if h.JSON(&status, "status"); !slices.Equal(status.Leaks, want) {
		t.Errorf("leaks: %+v, want %+v", status.Leaks, want)
	}
}

// leak is a row of status.
type leak struct {
	Name     string
	Address  netip.Addr
	Port     int
	PID, UID int
}
