package cli

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A list that is printed row by row is the JSON that it would be as a whole.
func TestPrintList(t *testing.T) {
	type head struct {
		One int      `json:"one"`
		Two []string `json:"two"`
	}
	for _, rows := range [][]ruleRow{{}, {{Pattern: "a", Target: "b"}}, {{Pattern: "a", Target: "b"}, {Pattern: "\u009bc", Target: "d", Cgroup: "/x"}}} {
		for _, data := range []any{head{1, []string{}}, head{1, []string{"}"}}, struct{}{}} {
			var b bytes.Buffer
			a := &app{Env: Env{Stdout: &b}, output: "json"}
			if err := printList(a, "X", data, "rules", slices.Values(rows), nil); err != nil {
				t.Fatal(err)
			}
			obeyed(t, "JSON", b.Bytes())
			var got struct {
				APIVersion, Kind string
				Data             struct {
					head
					Rules []ruleRow
				}
			}
			if err := json.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatalf("%v in %s", err, b.Bytes())
			}
			if diff := cmp.Diff(rows, got.Data.Rules); diff != "" || got.APIVersion != apiVersion || got.Kind != "X" {
				t.Errorf("%s\n%s", b.Bytes(), diff)
			}
			if want, ok := data.(head); ok && !cmp.Equal(want, got.Data.head) {
				t.Errorf("%+v is printed as %s", want, b.Bytes())
			}
		}
	}
}
