package recipes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	noSign  = regexp.MustCompile(`[^\pL\pN _-]`)
)

// Every link within the pages leads to a file that there is, and to a heading of it.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob(pages + "/*.md")
	check(t, err)
	for _, file := range append(files, pages+"/../comparison.md") {
		text, err := os.ReadFile(file)
		check(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if !hasAnchor(to, anchor) {
				t.Errorf("%s: no %s", file, m[1])
			}
		}
	}
}

// hasAnchor tells whether a file is there, and has a heading of that anchor if one is given.
func hasAnchor(file, anchor string) bool {
	text, err := os.ReadFile(file)
	if err != nil || anchor == "" {
		return err == nil
	}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		name := strings.ReplaceAll(noSign.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if name == anchor {
			return true
		}
	}
	return false
}
