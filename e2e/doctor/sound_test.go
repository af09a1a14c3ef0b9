package doctor

import (
	"testing"
)

// A sound system gives exit 0, and a line for each check.
func TestSound(t *testing.T) {
	h, _, _ := sound(t)
	wantSound(t, h)
	r := h.Run("doctor")
	t.Log("\n" + r.Stdout)
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("exit %d, %s", r.Code, r.Stderr)
	}
}
