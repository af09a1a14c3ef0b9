package dataplane

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/libc"
)

// TestLibraryWarnings: each names what helps, and start only where it does.
func TestLibraryWarnings(t *testing.T) {
	some := []*libc.Library{{}}
	for name, c := range map[string]struct {
		found libc.Found
		rows  []Library
		want  []string
	}{
		"well":    {libc.Found{Libraries: some}, []Library{{Path: "/a", Attached: true}, {Path: "/b", PID: 7, Attached: true}}, nil},
		"none":    {libc.Found{}, nil, []string{"no C library is found to observe; once there is one: domain-route start"}},
		"skipped": {libc.Found{Libraries: some, Skipped: 3, Why: []string{"a", "b"}}, nil, []string{"3 more C libraries of programs are not observed: a, b"}},
		"late": {libc.Found{Libraries: some, Late: true}, nil,
			[]string{"there was no time to look at the C libraries of all programs: some may not be observed"}},
		"not attached": {libc.Found{Libraries: some}, []Library{{Path: "/a"}, {Path: "/b", PID: 7}}, []string{
			"/a is not observed: it is new, or was replaced; mend it: domain-route start",
			"/b of process 7 is not observed: it is new (domain-route start), or cannot be: restart the program that uses it, or leave it",
		}},
	} {
		if diff := cmp.Diff(c.want, append(leftOut(c.found), unobserved(c.rows)...)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
