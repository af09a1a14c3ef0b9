// Package recipes does what each page of docs/recipes says, literally, and looks where packets went.
package recipes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/internal/lab"
)

const pages = "../../docs/recipes"

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// Each page has a test of its own name, which the stories note as they are told.
func TestEveryPage(t *testing.T) {
	files, err := filepath.Glob(pages + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if name == "README.md" {
			continue
		}
		if !stories[name] {
			t.Errorf("docs/recipes/%s has no story that runs it", name)
		}
	}
	if blocks := page.Read(t, pages, "README.md"); len(blocks) > 0 {
		t.Errorf("README.md:%d: a block that no test runs", blocks[0].Line)
	}
}
