package doctor

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// Within `ip netns exec`, which hides what is pinned, commands say that.
func TestHidden(t *testing.T) {
	h := harness.New(t, lab.Options{})
	const name = "doctor-hidden"
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %q: %v: %s", args, err, out)
		}
	}
	ip("netns", "add", name)
	t.Cleanup(func() { ip("netns", "del", name) })
	for _, args := range []string{"status", "rule list", "doctor", "watch"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		all := append([]string{"netns", "exec", name, harness.Binary(t), "--config", "none"}, strings.Fields(args)...)
		out, _ := h.HostCommand(ctx, "ip", all...).CombinedOutput()
		if text := string(out); !strings.Contains(text, "ip netns exec") || !strings.Contains(text, "nsenter --net=/run/netns/"+name+" domain-route") ||
			strings.Contains(text, "domain-route start") || strings.Contains(text, "mount -t") {
			t.Errorf("%s: %s", args, text)
		}
	}
	// Outside, nothing is hidden.
	if r := h.Run("rule", "list"); strings.Contains(r.Stderr, "netns") {
		t.Errorf("a false alarm: %+v", r)
	}
}
