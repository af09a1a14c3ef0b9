package ruleio

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// value is a type that reads itself from a node; pointers to the types of values.go are.
type value interface {
	decode(f *File, n *yaml.Node) *Error
}

// decode fills v from n by the tags of its type. It refuses what the type has no place for.
func (f *File) decode(n *yaml.Node, v reflect.Value) *Error {
	if own, ok := v.Addr().Interface().(value); ok {
		return own.decode(f, n)
	}
	switch v.Kind() {
	case reflect.Struct:
		return f.decodeStruct(n, v)
	case reflect.Map:
		return f.decodeMap(n, v)
	}
	return f.decodeSlice(n, v)
}

// at is where a node begins.
func at(n *yaml.Node) pos { return pos{n.Line, n.Column} }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// decodeStruct reads a mapping with known keys.
func (f *File) decodeStruct(n *yaml.Node, v reflect.Value) *Error {
	if n.Kind != yaml.MappingNode {
		return f.fail(at(n), "a mapping is wanted here, not %s; its keys are %s", kindOf(n), strings.Join(keysOf(v.Type()), ", "))
	}
	if p, ok := v.Addr().Interface().(interface{ setPos(pos) }); ok {
		p.setPos(at(n))
	}
	seen, fields := make(map[string]pos), fieldsOf(v.Type())
	for i := 0; i < len(n.Content); i += 2 {
		key, content := n.Content[i], n.Content[i+1]
		field := slices.IndexFunc(fields, func(s field) bool { return s.key == key.Value })
		if field < 0 || key.Kind != yaml.ScalarNode {
			return f.unknownKey(n, key, content, keysOf(v.Type()))
		}
		if first, twice := seen[key.Value]; twice {
			return f.fail(at(key), "key %q comes twice, first on line %d", key.Value, first.line)
		}
		seen[key.Value] = at(key)
		if err := f.bounds(content, fields[field]); err != nil {
			return err
		}
		if err := f.decode(content, v.FieldByIndex(fields[field].index)); err != nil {
			return err
		}
	}
	for _, s := range fields {
		if _, ok := seen[s.key]; s.need && !ok {
			return f.fail(at(n), "key %q is missing", s.key)
		}
	}
	return nil
}

// unknownKey says what the key may have been meant to be.
func (f *File) unknownKey(in, key, content *yaml.Node, keys []string) *Error {
	if key.Kind != yaml.ScalarNode {
		return f.fail(at(key), "a key is wanted here, not %s", kindOf(key))
	}
	if in.Style&yaml.FlowStyle != 0 && isNull(content) {
		return f.fail(at(key), "%.80q is no key; inside { } a comma ends a value: quote values that have commas", key.Value)
	}
	if near := nearest(strings.ToLower(key.Value), keys); near != "" {
		return f.fail(at(key), "unknown key %.80q; did you mean %q?", key.Value, near)
	}
	return f.fail(at(key), "unknown key %.80q; the keys here are %s", key.Value, strings.Join(keys, ", "))
}

// decodeMap reads a mapping whose keys are names.
func (f *File) decodeMap(n *yaml.Node, v reflect.Value) *Error {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return f.fail(at(n), "a mapping of names is wanted here, not %s", kindOf(n))
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i < len(n.Content); i += 2 {
		key := reflect.New(v.Type().Key()).Elem()
		if err := f.decode(n.Content[i], key); err != nil {
			return err
		}
		if v.MapIndex(key).IsValid() {
			return f.fail(at(n.Content[i]), "%q comes twice", n.Content[i].Value)
		}
		content := reflect.New(v.Type().Elem()).Elem()
		if err := f.decode(n.Content[i+1], content); err != nil {
			return err
		}
		v.SetMapIndex(key, content)
	}
	return nil
}

// decodeSlice reads a list.
func (f *File) decodeSlice(n *yaml.Node, v reflect.Value) *Error {
	if isNull(n) {
		return nil // all its lines are commented out
	}
	if n.Kind != yaml.SequenceNode {
		return f.fail(at(n), "a list is wanted here, not %s: write [a, b], or a line \"- a\" for each", kindOf(n))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		if err := f.decode(c, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// bounds checks the sizes of the lists of a struct that its tags ask for.
func (f *File) bounds(n *yaml.Node, s field) *Error {
	switch {
	case s.least > 0 && isNull(n):
		return f.fail(at(n), "this list is empty; leave the key %q out, or name something", s.key)
	case n.Kind != yaml.SequenceNode:
		return nil
	case len(n.Content) < s.least:
		return f.fail(at(n), "this list is empty; leave the key %q out, or name something", s.key)
	case s.most > 0 && len(n.Content) > s.most:
		return f.fail(at(n.Content[s.most]), "%q takes %d at most", s.key, s.most)
	}
	return nil
}

// field is one key of a mapping.
type field struct {
	key, doc    string
	need        bool
	least, most int // entries of a list; most 0: any number
	index       []int
	typ         reflect.Type
}

// fieldsOf returns the keys that a mapping of type t has, those of embedded structs behind them.
func fieldsOf(t reflect.Type) []field {
	if known, ok := knownFields.Load(t); ok {
		return known.([]field)
	}
	var out []field
	for _, s := range reflect.VisibleFields(t) {
		key, ok := s.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		one := field{key: key, doc: s.Tag.Get("doc"), need: s.Tag.Get("need") != "", index: s.Index, typ: s.Type}
		_, _ = fmt.Sscan(s.Tag.Get("least"), &one.least)
		_, _ = fmt.Sscan(s.Tag.Get("most"), &one.most)
		out = append(out, one)
	}
	knownFields.Store(t, out)
	return out
}

// knownFields spares a long file looking at the tags again and again.
var knownFields sync.Map

func keysOf(t reflect.Type) []string {
	var keys []string
	for _, s := range fieldsOf(t) {
		keys = append(keys, s.key)
	}
	return keys
}

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	}
	return fmt.Sprintf("%.80q", n.Value)
}
