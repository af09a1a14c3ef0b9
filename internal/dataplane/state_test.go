package dataplane

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
)

// The maps that are opened are those that these embedded programs have.
func TestPinnedMaps(t *testing.T) {
	var want []string
	for _, from := range []func() (*ebpf.CollectionSpec, error){loadLearn, loadSteer, loadSteerLater, loadLibc, loadAudit} {
		spec, err := from()
		if err != nil {
			t.Fatal(err)
		}
		for name := range spec.Maps {
			if !unpinned[name] && !slices.Contains(want, name) {
				want = append(want, name)
			}
		}
	}
	got := pinnedMaps()
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("%v, the programs have %v", got, want)
	}
}
