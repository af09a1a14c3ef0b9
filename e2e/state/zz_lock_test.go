package state

import (
	"strings"
	"testing"
	"time"
)

// A lock that is never released gives an error in time. In the last file, so that the wait, begun in TestMain, is over.
func TestHeldLockGivesUpInTime(t *testing.T) {
	w := <-heldLock
	check(t, w.err)
	if w.took < 15*time.Second || w.took > 30*time.Second {
		t.Errorf("gave up after %v, want about 20 s", w.took)
	}
	for args, r := range w.results {
		if r.Code != 3 || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "lock") {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want 3 and one line about the lock", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	if len(w.results) != 3 {
		t.Errorf("results: %v", w.results)
	}
}
