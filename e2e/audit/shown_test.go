package audit

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/terminal"
	"github.com/domain-route/domain-route/internal/lab"
)

// A leak is told by watch, and stays among top's.
func TestShown(t *testing.T) {
	h, to := audited(t)
	watch := terminal.Open(t, h, 80, 24, "", nil, harness.Binary(t), "watch")
	watch.Wait("TIME ")
	top := terminal.Open(t, h, 80, 24, "", nil, harness.Binary(t), "top")
	top.Wait("domain-route on")
	sends(t, h, h.MustAgent(lab.AgentOptions{UID: alice}), to, helloFor(t, "www."+ruled))
	watch.Wait("learnt ", "vpn0, audit", "leak ", "audit_leaked")
	top.Press("5")
	top.Wait("[5 Leaks 1]", "www."+ruled, to.String())
	for _, m := range []*terminal.Terminal{watch, top} {
		m.Press("\x03")
		if code := m.End(); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}
