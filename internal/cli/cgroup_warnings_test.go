package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A cgroup that is not there, or that no program of domain-route sees, is told; one above what it is attached to is not.
func TestCgroupWarnings(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "a.slice/b.service"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ attached, cgroup, want string }{
		{"/", "/a.slice", ""},
		{"/", "/a.slice/b.service", ""},
		{"/", "/nope", "cgroup /nope does not exist now; until it does"},
		{"/a.slice", "/a.slice", ""},
		{"/a.slice", "/a.slice/b.service", ""},
		{"/a.slice/b.service", "/a.slice", ""},
		{"/a.slice", "/a.slice/nope", "cgroup /a.slice/nope does not exist now"},
		{"/a.slice", "/nope", "cgroup /nope is outside of /a.slice, which domain-route is attached to (start --cgroup): the rule never holds"},
		{"/a.slice", "/a.slice2", "the rule never holds"},
	} {
		got := strings.Join(cgroupWarningsIn(root, c.attached, c.cgroup), "|")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("attached to %s, %s: %q; want %q", c.attached, c.cgroup, got, c.want)
		}
	}
}
