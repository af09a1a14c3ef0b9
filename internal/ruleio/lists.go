package ruleio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/ruleset"
)

const headSize = 64 << 10 // what listformat.Guess looks at

// list is one list of the configuration.
type list struct {
	part   *part
	item   *listItem
	path   string
	cond   ruleset.Condition
	target ruleset.Target

	options listformat.Options // once the format is known
	without cover
}

// planLists looks at what the configuration says about the lists, and at how long they are.
func (l *loader) planLists() error {
	known := l.o.Size != nil
	for i := range l.parts {
		p := &l.parts[i]
		for j := range p.doc.Lists {
			item := &p.doc.Lists[j]
			cond, err := l.condition(p.File, item.condition)
			if err != nil {
				return err
			}
			one := &list{part: p, item: item, path: p.beside(item.File.s), cond: cond, target: p.listTargets[j], without: newCover(item.Without)}
			one.options = listformat.Options{Format: listformat.Format(item.Format.s), Exact: item.Match.s == "exact", Category: item.Category.s}
			for _, a := range item.Attributes {
				one.options.Attrs = append(one.options.Attrs, a.s)
			}
			l.lists = append(l.lists, one)
			if known {
				n := l.o.Size(one.path)
				known = n > 0
				l.of += n
			}
		}
	}
	if !known {
		l.of = 0
	}
	return nil
}

// readLists reads the lists in their order, and after those of a file removes what the next file removes.
func (l *loader) readLists() error {
	next := 0
	for i := range l.parts {
		if err := l.remove(i, func(k key) bool { return l.out.Rules.Del(k.p, k.c) }); err != nil {
			return err
		}
		for range l.parts[i].doc.Lists {
			if err := l.readList(next); err != nil {
				return err
			}
			next++
		}
	}
	if l.o.Progress != nil && len(l.lists) > 0 {
		l.o.Progress(l.done, l.of)
	}
	return nil
}

func (l *loader) readList(number int) error {
	one := l.lists[number]
	guessed := one.options.Format == ""
	taker := &taker{loader: l, list: one, number: number}
	report, err := l.read(one, taker.take)
	if err != nil {
		return err
	}
	l.out.Lists = append(l.out.Lists, ListReport{Path: one.path, Format: one.options.Format, Guessed: guessed, Without: taker.without, Report: report})
	if report.Items == 0 {
		l.notes.add(Empty, Place{Path: one.path}, one.part.place(one.item.File.at), func() string {
			if len(report.Skipped) > 0 {
				return "the list gives no rule: all it has was skipped"
			}
			return "the list gives no rule: nothing is in it"
		})
	}
	for i, w := range one.item.Without {
		if !one.without.used[i] {
			l.notes.add(Unused, one.part.place(w.at), Place{}, func() string {
				return fmt.Sprintf("%s leaves out nothing of %s", w.p, one.path)
			})
		}
	}
	return nil
}

// read gives what is in a list to emit. Errors are *Error.
func (l *loader) read(one *list, emit func(listformat.Item) error) (listformat.Report, error) {
	if l.o.Open == nil {
		return listformat.Report{}, one.part.fail(one.item.File.at, "lists cannot be read here")
	}
	in, err := l.open(one, one.path)
	if err != nil {
		return listformat.Report{}, one.part.fail(one.item.File.at, "%w", err)
	}
	defer func() { _ = in.Close() }()
	if one.options.Format == "" {
		if err := l.guess(one, in); err != nil {
			return listformat.Report{}, err
		}
	}
	o := one.options
	o.Include = func(name string) (io.ReadCloser, error) {
		path, err := one.included(name)
		if err != nil {
			return nil, err
		}
		return l.open(one, path)
	}
	report, err := listformat.Read(in, o, emit)
	return report, one.failed(err)
}

// included returns the path of a list that is included. It is beside the list: lists come from strangers.
func (one *list) included(name string) (string, error) {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
		return "", fmt.Errorf("%.80q is no name of a file beside the list", name)
	}
	return path.Join(path.Dir(one.path), name), nil
}

// failed makes the *Error of an error of reading a list.
func (one *list) failed(err error) error {
	var bad *listformat.Error
	var own *Error
	switch {
	case err == nil, errors.As(err, &own), errors.Is(err, errFound):
		return err
	case errors.As(err, &bad):
		return &Error{Path: one.path, Line: bad.Line, Column: bad.Column, Reason: bad.Reason, Err: err}
	}
	return &Error{Path: one.path, Reason: err.Error(), Err: err}
}

// guess tells the format of a list from its beginning.
func (l *loader) guess(one *list, in *input) error {
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return one.failed(err)
	}
	if err := listformat.Compiled(path.Base(one.path), head); err != nil {
		return one.failed(err)
	}
	format, ok := listformat.Guess(path.Base(one.path), head)
	if !ok {
		return one.part.fail(one.item.File.at, "the format of %s cannot be told; add a key \"format\": one of %s", one.path, strings.Join(formats, ", "))
	}
	one.options.Format = format
	if err := one.part.fits(one.item, format); err != nil {
		err.Reason = fmt.Sprintf("%s looks like %s: %s", one.path, format.List(), err.Reason)
		return err
	}
	return nil
}

// input is a list's file, decompressed.
type input struct {
	*bufio.Reader
	io.Closer
}

// open opens a file for a list. Errors are as they come.
func (l *loader) open(one *list, name string) (*input, error) {
	l.inputs[name] = true
	file, err := l.o.Open(name)
	if err != nil {
		return nil, err
	}
	out, err := listformat.Decompress(&meter{in: file, loader: l, counts: name == one.path && !l.again})
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &input{bufio.NewReaderSize(out, headSize), file}, nil
}

// meter counts what is read, and tells it every step bytes.
type meter struct {
	in     io.Reader
	loader *loader
	counts bool
	untold int64
}

// Read reads on.
func (m *meter) Read(p []byte) (int, error) {
	const step = 64 << 10
	n, err := m.in.Read(p)
	if !m.counts {
		return n, err
	}
	m.loader.done += int64(n)
	m.untold += int64(n)
	if m.untold >= step && m.loader.o.Progress != nil {
		m.loader.o.Progress(m.loader.done, m.loader.of)
		m.untold = 0
	}
	return n, err
}

// taker takes the items of one list into the set.
type taker struct {
	*loader
	list    *list
	number  int
	without int
}

func (t *taker) take(i listformat.Item) error {
	if t.list.without.covers(i.Pattern) {
		t.without++
		return nil
	}
	rules := t.out.Rules
	k, target := key{i.Pattern, t.list.cond}, t.list.targetOf(i)
	old, replaced := rules.Add(ruleset.Rule{Pattern: k.p, Condition: k.c, Target: target})
	switch {
	case replaced && old != target:
		at := t.list.place(i)
		n := t.notes.add(Overlap, at, Place{}, func() string {
			return fmt.Sprintf("%s goes to %s here, and to %s in an earlier list", k, target, old)
		})
		t.seek(n, k, old, t.number)
	case !replaced && rules.Len() > t.o.most:
		return &Error{Path: t.list.path, Line: i.Line, Reason: t.tooMany()}
	}
	t.lone(i.Pattern, func() Place { return t.list.place(i) })
	return nil
}

// targetOf is where an item's connections go.
func (one *list) targetOf(i listformat.Item) ruleset.Target {
	if i.Exception {
		return ruleset.Target{Kind: ruleset.Direct}
	}
	return one.target
}

// place is where an item of the list stands.
func (one *list) place(i listformat.Item) Place {
	if i.File != "" {
		return Place{path.Join(path.Dir(one.path), i.File), i.Line}
	}
	return Place{one.path, i.Line}
}
