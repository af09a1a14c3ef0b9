package ruleio

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the files themselves say, after one another, is told from what their lists say.
func TestInline(t *testing.T) {
	var files []*File
	for _, text := range []string{
		"targets: {vpn: wg0}\nrules:\n  - {match: [z.test, a.test], target: vpn}\n  - {match: gone.test, target: wg0}\n  - {match: a.test, target: block, user: anna}\n" +
			"  - {match: back.test, target: wg0}\nlists: [{file: l, target: wg1}]\n",
		"remove: [gone.test, back.test]\nrules:\n  - {match: a.test, target: wg1}\n  - {match: back.test, target: wg2}\n",
	} {
		f, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	c, err := Merge(files)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range c.Inline() {
		got = append(got, r.Pattern.String()+" "+r.Target.String())
	}
	if diff := cmp.Diff([]string{"z.test wg0", "a.test wg1", "a.test block", "back.test wg2"}, got); diff != "" {
		t.Error(diff)
	}
	if got := (&Config{}).Inline(); len(got) > 0 {
		t.Errorf("no files: %v", got)
	}
}
