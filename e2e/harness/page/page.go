// Package page runs the commands that a page of documentation shows, literally, in a lab.
package page

import (
	"os"
	"strings"
	"testing"
)

// Block is one fenced block of a page.
type Block struct {
	File    string // as it was asked for
	Line    int    // of the opening fence
	Kind    string // what stands behind the fence: sh, text, ...
	Section string // the heading above it, without the #
	Text    string
}

// Read finds all blocks of a page; dir is put before the file's name.
func Read(t testing.TB, dir, file string) []Block {
	t.Helper()
	text, err := os.ReadFile(dir + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []Block
	var in *Block
	section := ""
	for i, line := range strings.Split(string(text), "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case in == nil && fence:
			in = &Block{File: file, Line: i + 1, Kind: kind, Section: section}
		case in != nil && line == "```":
			all = append(all, *in)
			in = nil
		case in != nil:
			in.Text += line + "\n"
		case strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if in != nil {
		t.Fatalf("%s:%d: a block without an end", file, in.Line)
	}
	return all
}
