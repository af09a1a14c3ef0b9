package ruleio

import (
	"bytes"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// File is what one configuration file says, checked as far as one file can be.
type File struct {
	path    string
	doc     document
	targets map[string]ruleset.Target
}

// Path returns the file's path, as its Source has it.
func (f *File) Path() string { return f.path }

// Parse reads one file, strictly: keys it does not know, values of a wrong type, duplicates, aliases, tags and a
// second document are errors. An empty file says nothing. Errors are *Error.
func Parse(src Source) (*File, error) {
	f := &File{path: src.Path}
	n, err := f.parse(src.Data)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return f, nil
	}
	if err := f.plain(n); err != nil {
		return nil, err
	}
	if err := f.decodeStruct(n, elem(&f.doc)); err != nil {
		return nil, err
	}
	if f.targets, err = f.define(); err != nil {
		return nil, err
	}
	for i := range f.doc.Lists {
		l := &f.doc.Lists[i]
		if l.Format.s == "" {
			continue
		}
		if err := f.fits(l, listformat.Format(l.Format.s)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// parse makes the tree of a file; nil for one that says nothing.
func (f *File) parse(data []byte) (*yaml.Node, *Error) {
	if len(data) > MaxFile {
		return nil, f.fail(pos{}, "larger than %d MiB; put long lists of names in files and name them under lists:", MaxFile>>20)
	}
	if err := f.characters(data); err != nil {
		return nil, err
	}
	// The parser gets single bytes, so that where it stops tells where the error is.
	in := &byteReader{data: data}
	d := yaml.NewDecoder(in)
	var n, second yaml.Node
	switch err := d.Decode(&n); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, f.syntax(data, in.n, err)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return nil, f.fail(at(&second), "a second document begins here; a file holds one")
	case !errors.Is(err, io.EOF):
		return nil, f.syntax(data, in.n, err)
	}
	if root := n.Content[0]; !isNull(root) || root.Anchor != "" {
		return root, nil
	}
	return nil, nil
}

// byteReader gives out one byte at a time.
type byteReader struct {
	data []byte
	n    int
}

// Read returns the next byte.
func (r *byteReader) Read(p []byte) (int, error) {
	if r.n == len(r.data) {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	p[0] = r.data[r.n]
	r.n++
	return 1, nil
}

// characters refuses what is no text, and what YAML and editors count lines differently by.
func (f *File) characters(data []byte) *Error {
	p := pos{1, 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return f.fail(p, "byte 0x%02x is not UTF-8", data[i])
		case r == '\ufeff' && i > 0, r == '\u2028', r == '\u2029', unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t':
			return f.fail(p, "character U+%04X is not allowed", r)
		case r == '\r' && !bytes.HasPrefix(data[i:], []byte("\r\n")):
			return f.fail(p, "a carriage return without a line feed")
		}
		p.column++
		if r == '\n' {
			p = pos{p.line + 1, 1}
		}
		i += size
	}
	return nil
}

// plain refuses what configurations have no use for and patterns are easily mistaken for. Aliases come after their
// anchors.
func (f *File) plain(n *yaml.Node) *Error {
	switch {
	case n.Anchor != "":
		return f.fail(at(n), "%s is an anchor to YAML, which is not taken here; if it is text, quote it", "&"+n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		return f.fail(at(n), "%.80q is a tag to YAML, which is not taken here; if it is text, quote it: %s", n.Tag, quoted(n.Tag+n.Value))
	}
	for _, c := range n.Content {
		if err := f.plain(c); err != nil {
			return err
		}
	}
	return nil
}

// fits checks the options of a list against its format.
func (f *File) fits(l *listItem, format listformat.Format) *Error {
	v2ray := format == listformat.V2fly || format == listformat.Geosite
	switch {
	case format == listformat.Plain && l.Match.s == "":
		return f.fail(l.at, "a plain list needs \"match: suffix\" (a name stands for all below it, too) or \"match: exact\"")
	case format != listformat.Plain && l.Match.s != "":
		return f.fail(l.Match.at, "\"match\" is for plain lists; %s says itself what its names mean", format.List())
	case format == listformat.Geosite && l.Category.s == "":
		return f.fail(l.at, "a geosite list needs \"category\", which of its lists is meant")
	case format != listformat.Geosite && l.Category.s != "":
		return f.fail(l.Category.at, "\"category\" is for geosite lists, and this is %s", format)
	case !v2ray && len(l.Attributes) > 0:
		return f.fail(l.Attributes[0].at, "\"attributes\" are for v2fly and geosite lists, and this is %s", format)
	}
	return nil
}
