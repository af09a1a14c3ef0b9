package packages

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// toFile is what a page leads to in a file of its own, without the section.
var toFile = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)

// Whatever a page that is installed leads to is installed, too.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	run(t, "dpkg-deb", "-x", pack(t, "deb", newVersion), dir)
	pages, links := 0, 0
	err := filepath.WalkDir(filepath.Join(dir, "usr/share/doc/domain-route"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pages++
		for _, m := range toFile.FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: leads to %s, which is not there", strings.TrimPrefix(path, dir), m[1])
			}
		}
		return nil
	})
	if err != nil || pages < 20 || links < 50 {
		t.Errorf("%d pages with %d links: %v", pages, links, err)
	}
}
