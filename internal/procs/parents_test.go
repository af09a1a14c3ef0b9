package procs

import (
	"os"
	"slices"
	"testing"
)

func TestParents(t *testing.T) {
	self, parent := uint32(os.Getpid()), uint32(os.Getppid())
	all := Parents(self, 2)
	if parent > 1 && (len(all) == 0 || all[0] != parent) {
		t.Errorf("parents %v, the first is %d", all, parent)
	}
	if one := Parents(self, 1); !slices.Equal(one, all[:min(1, len(all))]) {
		t.Errorf("one parent of %v: %v", all, one)
	}
	if slices.Contains(Parents(self, 100), 1) {
		t.Error("the first process is nobody's parent here")
	}
	if got := Parents(1<<31, 3); got != nil {
		t.Errorf("parents of nobody: %v", got)
	}
}
