package listformat

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Bounds of inclusion. The public set has 1,700 include lines in all, is four deep and has 2 MiB.
const (
	maxDepth    = 32
	maxIncludes = 10_000
	maxIncluded = 512 << 20 // bytes read of included files, those read again counted again
	maxWanted   = 100       // attributes that entries are asked for: each entry costs that much
)

// v2flyList reads one file of domain-list-community, and the files it includes where it includes them.
//
// An entry's affiliations (&other) put it on other lists as well; it is an entry of this one all the same. What the
// files of other lists put on this one cannot be seen from here: a geosite.dat has it all.
type v2flyList struct {
	*reading
	name  string   // as given to Include; "" the list itself
	line  int      // the line of the list itself that leads to this file; 0 in the list itself
	want  filter   // of the entries of this file
	open  []string // the names of the files being read, the outermost first; without the list itself, which has none
	again bool     // the file has been read before, through another filter
	seen  *v2flySeen
}

// v2flySeen is what the files of one reading have in common.
type v2flySeen struct {
	files  map[string]bool   // by name: it has been opened
	done   map[[32]byte]bool // by name and filter: reading it again would give the same entries
	opened int
	left   int64 // of maxIncluded
}

func readV2fly(r *reading) error {
	seen := &v2flySeen{files: map[string]bool{}, done: map[[32]byte]bool{}, left: maxIncluded}
	l := v2flyList{reading: r, want: optionFilter(r.o.Attrs), seen: seen}
	return eachLine(r.in, l.entry)
}

// entry reads one line.
func (l *v2flyList) entry(number int, line []byte) error {
	if i := bytes.IndexByte(line, '#'); i >= 0 {
		line = trim(line[:i])
	}
	if len(line) == 0 {
		return nil
	}
	e, ok := parseV2fly(line)
	switch {
	case !ok && !l.again:
		l.count("bad line", number, line)
	case !ok:
	case e.kind == "include":
		return l.include(number, e)
	case !l.want.takes(e.attrs):
	case e.kind == "keyword" || e.kind == "regexp":
		l.count(e.kind, number, line)
	default:
		return l.item(number, e)
	}
	return nil
}

// item emits the pattern of a domain: or full: entry.
func (l *v2flyList) item(number int, e v2flyLine) error {
	name, ok := parseName(e.value)
	if !ok || !v2flyName(e.value) {
		l.count("bad name", number, e.value)
		return nil
	}
	kind := pattern.Suffix
	if e.kind == "full" {
		kind = pattern.Exact
	}
	return l.emit(Item{Pattern: pattern.Pattern{Kind: kind, Name: name}, File: l.name, Line: number})
}

// count counts one line that is no item. Line numbers are the list's own: those of other files are told with the text.
func (l *v2flyList) count(kind string, number int, text []byte) {
	if l.name == "" {
		l.skip(kind, number, text)
	} else {
		l.skip(kind, l.line, fmt.Appendf(nil, "%s:%d: %s", l.name, number, text[:min(len(text), maxFirst+1)]))
	}
}

// include reads the file that a line includes. A file that is included while it is being read is not read once more:
// it could not give an entry that it does not give anyway, as filters only get narrower on the way in.
func (l *v2flyList) include(number int, e v2flyLine) error {
	name := strings.ToLower(string(e.value)) // as the files are named; main.go has them in upper case
	inner := &v2flyList{reading: l.reading, name: name, line: l.line, want: l.want.and(includeFilter(e.attrs)), seen: l.seen}
	if l.name == "" {
		inner.line = number
	}
	key := sha256.Sum256([]byte(name + " " + inner.want.key()))
	switch {
	case l.o.Include == nil:
		return l.fail(number, name, errors.New("nothing can be included here: give the list as a file that has the others beside it"))
	case slices.Contains(l.open, name):
		l.count("circular include", number, e.value)
		return nil
	case l.seen.done[key]:
		return nil
	case len(l.open) == maxDepth:
		return l.fail(number, name, fmt.Errorf("files include one another more than %d deep", maxDepth))
	case len(inner.want.with)+len(inner.want.without) > maxWanted:
		return l.fail(number, name, fmt.Errorf("more than %d attributes are asked for", maxWanted))
	case l.seen.opened == maxIncludes:
		return l.fail(number, name, fmt.Errorf("more than %d files are included", maxIncludes))
	}
	l.seen.done[key] = true
	l.seen.opened++
	inner.open = append(slices.Clip(l.open), name)
	inner.again = l.seen.files[name]
	l.seen.files[name] = true
	return l.read(number, inner)
}

// read opens an included file and reads it.
func (l *v2flyList) read(number int, inner *v2flyList) (err error) {
	f, err := l.o.Include(inner.name)
	if err != nil {
		return l.fail(number, inner.name, err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = l.fail(number, inner.name, e)
		}
	}()
	var inside error // an error of one of its lines says itself where it is
	err = eachLine(&includedFile{f, &l.seen.left}, func(number int, line []byte) error {
		inside = inner.entry(number, line)
		return inside
	})
	if err != nil && inside == nil {
		return l.fail(number, inner.name, err)
	}
	return err
}

// includedFile counts what is read of all included files.
type includedFile struct {
	io.Reader
	left *int64
}

func (f *includedFile) Read(b []byte) (int, error) {
	if *f.left <= 0 {
		return 0, fmt.Errorf("the included files have more than %d MiB", maxIncluded>>20)
	}
	n, err := f.Reader.Read(b)
	*f.left -= int64(n)
	return n, err
}

// fail makes the error of an include line. Those of Include and of its readers stay what they are; ours become the
// list's.
func (l *v2flyList) fail(number int, name string, err error) error {
	where := "include:" + name
	if l.name != "" {
		where, number = fmt.Sprintf("%s:%d: %s", l.name, number, where), l.line
	}
	return &includeError{Error{Line: number, Reason: where + ": " + err.Error()}, err}
}

// includeError is an *Error to errors.As, and keeps its cause for errors.Is.
type includeError struct {
	at    Error
	cause error
}

func (e *includeError) Error() string   { return e.at.Error() }
func (e *includeError) Unwrap() []error { return []error{&e.at, e.cause} }

// v2flyLine is one line of a list.
type v2flyLine struct {
	kind  string // domain, full, keyword, regexp or include
	value []byte // of the line
	attrs []string
}

var v2flyKinds = []string{"domain", "full", "keyword", "regexp", "include"}

// parseV2fly reads a line that is not empty, without its comment. Beside the lists' own form it knows the one they are
// published in, type:value:@attr1,@attr2.
func parseV2fly(line []byte) (e v2flyLine, ok bool) {
	word, rest := cutWord(line)
	kind, value, typed := bytes.Cut(word, []byte(":"))
	if !typed {
		kind, value = []byte("domain"), word
	}
	for _, known := range v2flyKinds {
		if bytes.EqualFold(kind, []byte(known)) {
			e.kind = known
		}
	}
	e.value = value
	at := bytes.IndexByte(value, ':')
	switch e.kind {
	case "":
		return e, false
	case "regexp": // may have colons of its own
		at = bytes.LastIndex(value, []byte(":@"))
	}
	if at >= 0 {
		attrs, ok := exportedAttrs(value[at+1:])
		if !ok && e.kind != "regexp" {
			return e, false
		}
		if ok {
			e.value, e.attrs = value[:at], attrs
		}
	}
	if !e.marks(rest) || len(e.value) == 0 {
		return e, false
	}
	return e, e.kind != "include" || at < 0 && madeOf(e.value, "!-")
}

// marks reads the attributes and affiliations that follow an entry.
func (e *v2flyLine) marks(rest []byte) bool {
	for len(rest) > 0 {
		var word []byte
		word, rest = cutWord(rest)
		if len(word) < 2 || !madeOf(word[1:], "!-") {
			return false
		}
		switch {
		case word[0] == '@':
			e.attrs = append(e.attrs, strings.ToLower(string(word[1:])))
		case word[0] != '&' || e.kind == "include":
			return false
		}
	}
	return true
}

// exportedAttrs reads @attr1,@attr2.
func exportedAttrs(text []byte) (attrs []string, ok bool) {
	for attr := range bytes.SplitSeq(text, []byte(",")) {
		if len(attr) < 2 || attr[0] != '@' || !madeOf(attr[1:], "!-") {
			return nil, false
		}
		attrs = append(attrs, strings.ToLower(string(attr[1:])))
	}
	return attrs, true
}

// madeOf tells whether text is ASCII letters, digits and the marks given.
func madeOf(text []byte, marks string) bool {
	for _, c := range text {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

// v2flyName tells whether a name has the form that v2fly's lists demand; its lengths are not looked at.
func v2flyName(text []byte) bool {
	for label := range bytes.SplitSeq(text, []byte(".")) {
		if len(label) == 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return madeOf(text, ".-")
}

// filter says which entries are wanted, by their attributes. Both are in lower case, sorted and without repetition.
type filter struct{ with, without []string }

// optionFilter reads Options.Attrs: ATTR, or !ATTR for entries without it. As attributes may begin with a '!'
// themselves (the public set has @!cn), there are the forms of include lines as well, @ATTR and @-ATTR.
func optionFilter(attrs []string) (f filter) {
	for _, attr := range attrs {
		attr = strings.ToLower(attr)
		if text, ok := strings.CutPrefix(attr, "@"); ok {
			f = f.and(includeFilter([]string{text}))
		} else if text, ok := strings.CutPrefix(attr, "!"); ok {
			f = f.and(filter{without: []string{text}})
		} else {
			f = f.and(filter{with: []string{attr}})
		}
	}
	return f
}

// includeFilter makes a filter of the attributes of an include line.
func includeFilter(attrs []string) (f filter) {
	for _, attr := range attrs {
		if text, ok := strings.CutPrefix(attr, "-"); ok {
			f.without = append(f.without, text)
		} else {
			f.with = append(f.with, attr)
		}
	}
	return f
}

// and returns the filter of the entries that pass both.
func (f filter) and(g filter) filter {
	union := func(a, b []string) []string {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return slices.Compact(all)
	}
	return filter{union(f.with, g.with), union(f.without, g.without)}
}

// takes tells whether an entry with these attributes is wanted.
func (f filter) takes(attrs []string) bool {
	for _, attr := range f.with {
		if !slices.Contains(attrs, attr) {
			return false
		}
	}
	return !slices.ContainsFunc(f.without, func(attr string) bool { return slices.Contains(attrs, attr) })
}

// key tells filters apart.
func (f filter) key() string { return strings.Join(f.with, ",") + " " + strings.Join(f.without, ",") }

// writeV2fly writes domain: and full: entries.
func writeV2fly(w *writing) error {
	names := *w
	names.patterns = func(yield func(pattern.Pattern) bool) {
		for p := range w.patterns {
			if p.Kind <= pattern.Exact && spelt(p.Name) && !v2flyName([]byte(p.Name.String())) {
				w.skip("bad name", p) // as with an underscore
			} else if !yield(p) {
				return
			}
		}
	}
	return names.lines(false, func(b []byte, p pattern.Pattern) []byte {
		switch p.Kind {
		case pattern.Suffix:
			return p.Name.AppendTo(append(b, "domain:"...))
		case pattern.Exact:
			return p.Name.AppendTo(append(b, "full:"...))
		}
		return b
	})
}
