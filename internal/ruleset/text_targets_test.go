package ruleset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is counted in the text is what the rules say, conditions, addresses and comments included.
func TestCountTargets(t *testing.T) {
	set := &Set{}
	err := set.UnmarshalText([]byte("a.test wg0\n*.a.test wg0\n=a.test wg0,wan0 user=5\na.test block cgroup=/x\nb.test mark:0x23\n10.0.0.0/8 wg0\ndefault direct\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := set.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	got, err := CountTargets(append(text, "# former.test\n"...))
	if err != nil {
		t.Fatal(err)
	}
	want, have := map[Target]int{}, map[Target]int{}
	for r := range set.All() {
		want[r.Target]++
	}
	for i, n := range got {
		have[n.Target] = n.Rules
		if i > 0 && got[i-1].Target.String() >= n.Target.String() {
			t.Errorf("%s comes before %s", got[i-1].Target, n.Target)
		}
	}
	if diff := cmp.Diff(want, have); diff != "" || len(want) != 5 || len(have) != len(got) {
		t.Error(diff)
	}
	if got, err := CountTargets(nil); err != nil || len(got) != 0 {
		t.Errorf("of no rules: %v, %v", got, err)
	}
	if _, err := CountTargets([]byte("a.test\n")); err == nil {
		t.Error("a line without a target is taken")
	}
}
