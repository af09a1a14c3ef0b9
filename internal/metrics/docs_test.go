package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ofOthers are metrics that node_exporter makes.
var ofOthers = map[string]bool{"node_textfile_mtime_seconds": true}

var nameInQuery = regexp.MustCompile(`\b(?:domain_route|node_textfile)_[a-z0-9_]+\b`)

// inQuery are the metrics that an expression names.
func inQuery(text string) []string {
	quoted := regexp.MustCompile(`"[^"]*"`)
	return nameInQuery.FindAllString(quoted.ReplaceAllString(text, `""`), -1)
}

func known(t *testing.T, where, query string) (n int) {
	t.Helper()
	for _, name := range inQuery(query) {
		if _, ok := FamilyOf(strings.TrimPrefix(name, Prefix)); !ok && !ofOthers[name] {
			t.Errorf("%s asks for %s, which there is not", where, name)
		}
		n++
	}
	return n
}

// docs/metrics.md lists the metrics there are, as they are, and asks for no others.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, f := range Families {
		var labels []string
		for _, l := range f.Labels {
			labels = append(labels, "`"+l+"`")
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.Name, f.Kind, strings.Join(labels, ", "), f.Help))
	}
	queries := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
		queries += known(t, "docs/metrics.md", line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if queries < 15 {
		t.Errorf("%d metrics are asked for: is the reader broken?", queries)
	}
}

type grid struct{ X, Y, W, H int }

func (a grid) overlaps(b grid) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Panels        []struct {
		ID         int
		Type       string
		Title      string
		Datasource struct{ Type, UID string }
		GridPos    grid
		Targets    []struct {
			RefID, Expr string
			Datasource  struct{ UID string }
		}
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

// The dashboard asks for metrics there are, by the data source that is chosen; no panel lies on another.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../contrib/grafana/domain-route.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" || d.UID == "" || d.SchemaVersion == 0 {
		t.Errorf("%+v", d.Templating)
	}
	for _, v := range d.Templating.List {
		known(t, "the variable "+v.Name, v.Definition)
	}
	for _, a := range d.Annotations.List {
		known(t, "an annotation", a.Expr)
	}
	ids := map[int]bool{}
	asked := map[string]bool{}
	for i, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d, %q: an id of its own and a title are wanted", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: %+v", p.Title, p.GridPos)
		}
		for _, q := range d.Panels[:i] {
			if p.GridPos.overlaps(q.GridPos) {
				t.Errorf("%s lies on %s", p.Title, q.Title)
			}
		}
		if p.Type != "row" && (len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("%s asks nothing, or not the chosen data source", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if n := known(t, p.Title, target.Expr); n == 0 || refs[target.RefID] || target.Datasource.UID != "${datasource}" {
				t.Errorf("%s: %+v", p.Title, target)
			}
			refs[target.RefID] = true
			for _, name := range inQuery(target.Expr) {
				asked[strings.TrimPrefix(name, Prefix)] = true
			}
			balanced(t, target.Expr)
		}
	}
	for _, name := range []string{"verdicts_total", "answers_refused_total", "rule_hits_total", "target_hits_total", "map_entries", "audit_total", "interface_up"} {
		if !asked[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// balanced fails for an expression whose brackets are not closed.
func balanced(t *testing.T, expr string) {
	t.Helper()
	var open []rune
	pairs := map[rune]rune{')': '(', ']': '[', '}': '{'}
	for _, r := range regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, "") {
		switch r {
		case '(', '[', '{':
			open = append(open, r)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != pairs[r] {
				t.Errorf("brackets: %s", expr)
				return
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("brackets: %s", expr)
	}
}
