package doctor

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// A sound system gives exit 0 and a line for each check. What is seeded then, each thing alone, is named with its cure,
// and mended by it: after each the system is sound again.
func TestSeeded(t *testing.T) {
	h, _, _ := sound(t)
	r := h.Run("doctor")
	t.Log("\n" + r.Stdout)
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("a sound system: exit %d, %s", r.Code, r.Stderr)
	}
	if c := find(consult(t, h), "rules-hit"); len(c) != 1 || c[0].Level != "ok" {
		t.Errorf("%+v", c)
	}
	for _, c := range []struct {
		what string
		test func(*testing.T, *harness.Host)
	}{
		{"configuration", configuration}, {"no route", noRoute}, {"reverse path", reversePath}, {"interface down", interfaceDown}, {"no IPv6", noIPv6},
		{"own table", ownTable}, {"tunnel without IPv6", tunnelWithoutIPv6},
		{"stale library", staleLibrary}, {"shadowed", shadowed}, {"second tool", secondTool}, {"second tool's hooks", secondToolTwice},
		{"Firefox's profile", firefoxProfile}, {"Firefox's policy", firefoxPolicy}, {"Chrome's policy", chromePolicy},
		{"Chromium's user", chromiumUser}, {"no interface", noInterface}, {"mark", mark},
		{"name server blocked", nameServerBlocked}, {"redirect", redirect}, {"nearly full", nearlyFull},
	} {
		if !t.Run(c.what, func(t *testing.T) { c.test(t, h); wantSound(t, h) }) {
			break // what was seeded may still be there
		}
	}
}
