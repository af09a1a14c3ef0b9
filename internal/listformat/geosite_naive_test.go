package listformat

// A naive reading of geosite.dat, written from ../../../shared/formats.md §2 and the encoding of protobuf: of the whole
// file at once, with nothing of the readers.

import (
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// rawField is a field as the naive reading sees it.
type rawField struct {
	num, typ, number uint64
	text             []byte
}

// rawVarint reads a number by the definition of protobuf.
func rawVarint(b []byte) (v uint64, rest []byte, ok bool) {
	for i := range b {
		if i == 9 && b[i] > 1 {
			return 0, nil, false
		}
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, b[i+1:], true
		}
	}
	return 0, nil, false
}

// rawNext splits a message's first field off. Groups are known inside of a Domain only.
func rawNext(b []byte, most uint64, groups bool) (f rawField, rest []byte, ok bool) {
	tag, b, ok := rawVarint(b)
	f.num, f.typ = tag>>3, tag&7
	if !ok || f.num == 0 || f.num > most {
		return f, nil, false
	}
	size := uint64(0)
	switch f.typ {
	case 0:
		f.number, b, ok = rawVarint(b)
	case 1:
		size = 8
	case 2:
		size, b, ok = rawVarint(b)
	case 3:
		for groups && ok {
			var inner rawField
			var tag uint64
			if tag, _, ok = rawVarint(b); ok && tag == f.num<<3|4 {
				_, b, _ = rawVarint(b)
				return f, b, true
			}
			inner, b, ok = rawNext(b, most, true)
			ok = ok && inner.typ != 4
		}
		return f, nil, false
	case 5:
		size = 4
	default:
		return f, nil, false
	}
	if !ok || size > uint64(len(b)) {
		return f, nil, false
	}
	f.text = b[:size]
	return f, b[size:], true
}

// rawFields reads a message as a whole; ok is false if it is damaged, and the fields before that are returned.
func rawFields(b []byte, most uint64, groups bool) (fields []rawField, ok bool) {
	for len(b) > 0 {
		f, rest, ok := rawNext(b, most, groups)
		if !ok {
			return fields, false
		}
		fields, b = append(fields, f), rest
	}
	return fields, true
}

const (
	mostStream = 1<<29 - 1
	mostInner  = 1<<31 - 1
)

// naiveCode finds the name of an entry; ok is false if the damage comes before it.
func naiveCode(entry []byte) (code string, ok bool) {
	fields, ok := rawFields(entry, mostStream, false)
	for _, f := range fields {
		if f.num == 1 && f.typ == 2 && len(f.text) > 0 && len(f.text) <= 256 {
			return string(f.text), true
		}
		if f.num == 4 && f.typ == 2 && len(f.text) <= 256 {
			code = string(f.text)
		}
	}
	return code, ok
}

// naiveGeosite reads a whole geosite.dat to formats.md §2.
func naiveGeosite(dat []byte, category, attr string) (out *outcome, codes []string, codesOK, ok bool) {
	out = newOutcome()
	entries, ok := rawFields(dat, mostStream, false)
	codesOK = ok
	found := false
	for _, e := range entries {
		if e.num != 1 || e.typ != 2 {
			continue
		}
		code, named := naiveCode(e.text)
		if codesOK = codesOK && named; !named {
			ok = false
			continue
		}
		if code != "" && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
		if !strings.EqualFold(code, category) {
			continue
		}
		if found {
			out.skip("repeated category", 0)
			continue
		}
		found = true
		domains, whole := rawFields(e.text, mostStream, false)
		ok = ok && whole
		for _, d := range domains {
			if d.num == 2 && d.typ == 2 {
				ok = out.naiveDomain(d.text, attr) && ok
			}
		}
	}
	return out, codes, codesOK, ok && found
}

func (o *outcome) naiveDomain(b []byte, attr string) bool {
	fields, ok := rawFields(b, mostInner, true)
	var typ uint32
	var value string
	var attrs []string
	for _, f := range fields {
		switch [2]uint64{f.num, f.typ} {
		case [2]uint64{1, 0}:
			typ = uint32(f.number)
		case [2]uint64{2, 2}:
			value = string(f.text)
		case [2]uint64{3, 2}:
			key := ""
			inner, whole := rawFields(f.text, mostInner, true)
			for _, k := range inner {
				if k.num == 1 && k.typ == 2 {
					key = strings.ToLower(string(k.text))
				}
			}
			attrs, ok = append(attrs, key), ok && whole
		}
	}
	without, not := strings.CutPrefix(attr, "!")
	switch {
	case attr != "" && not == slices.Contains(attrs, strings.ToLower(without)):
	case typ == 0:
		o.skip("keyword", 0)
	case typ == 1:
		o.skip("regexp", 0)
	case typ == 2:
		o.name(pattern.Suffix, value, false, 0)
	case typ == 3:
		o.name(pattern.Exact, value, false, 0)
	default:
		o.skip("unknown type", 0)
	}
	return ok
}
