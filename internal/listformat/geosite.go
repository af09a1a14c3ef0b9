package listformat

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/domain-route/domain-route/internal/pattern"
)

// A geosite.dat is a protobuf message, of which a reader needs this much (v2ray-core, app/router/routercommon):
//
//	GeoSiteList { repeated GeoSite entry = 1; }
//	GeoSite     { string country_code = 1; repeated Domain domain = 2; bytes resource_hash = 3; string code = 4; }
//	Domain      { Type type = 1; string value = 2; repeated Attribute attribute = 3; }
//	Attribute   { string key = 1; oneof { bool bool_value = 2; int64 int_value = 3; } }
const (
	fieldEntry     = 1
	fieldCountry   = 1
	fieldDomain    = 2
	fieldCode      = 4
	fieldType      = 1
	fieldValue     = 2
	fieldAttribute = 3
	fieldKey       = 1
)

// The types of Domain.
const (
	typeKeyword = 0
	typeRegexp  = 1
	typeSuffix  = 2
	typeExact   = 3
)

// Bounds of what is held in memory. The largest category of the public files has some 4 MiB.
const (
	maxCategory = 256 << 20 // bytes of one category; they are not held
	maxHeld     = 32 << 20  // bytes of domains that stand before their category's name
	maxDomain   = 64 << 10  // bytes of one domain
	maxCode     = 256       // bytes of a category's name
)

// geositeList reads the wanted category of a geosite.dat. The others are skipped by their length.
type geositeList struct {
	*reading
	want  filter
	found bool
	near  nearest
	buf   []byte // of one domain
}

func readGeosite(r *reading) error {
	g := geositeList{reading: r, want: optionFilter(r.o.Attrs), near: nearest{to: strings.ToUpper(r.o.Category)}}
	if r.o.Category == "" {
		return &Error{Reason: "a geosite.dat holds many lists: say which category; " + howToList}
	}
	if err := eachCategory(r.in, g.category); err != nil {
		return err
	}
	if !g.found {
		return &Error{Reason: fmt.Sprintf("no category %q in this geosite.dat%s; %s", r.o.Category, g.near.hint(), howToList)}
	}
	return nil
}

// howToList ends the errors of those who do not know the categories.
const howToList = "`domain-route import --categories FILE` lists them"

// category looks at one category's name, then reads it or leaves it. The first one of a name counts, as for v2ray.
func (g *geositeList) category(m *message) error {
	var held bytes.Buffer // domains that came before the name
	code, err := m.code(&held)
	if err != nil {
		return err
	}
	if !strings.EqualFold(code, g.o.Category) {
		g.near.add(strings.ToUpper(code))
		return nil
	}
	if g.found {
		g.skip("repeated category", 0, []byte(code))
		return nil
	}
	g.found = true
	return g.domains(&held, m)
}

// domains reads the domains of the category: first those held, then what is left of m.
func (g *geositeList) domains(held *bytes.Buffer, m *message) error {
	before := &message{r: bufio.NewReader(held), left: uint64(held.Len())}
	for _, part := range []*message{before, m} {
		for {
			num, sub, err := part.next()
			if err != nil {
				return err
			}
			if num == 0 {
				break
			}
			if num == fieldDomain && sub.left > maxDomain {
				g.skip("too long", 0, nil)
			} else if num == fieldDomain {
				if g.buf, err = sub.read(g.buf[:0]); err == nil {
					err = g.domain(g.buf)
				}
				if err != nil {
					return err
				}
			}
			if err := sub.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

// domain reads one Domain.
func (g *geositeList) domain(b []byte) error {
	var kind uint64
	var value []byte
	var attrs []string
	err := fields(b, func(num protowire.Number, typ protowire.Type, number uint64, text []byte) error {
		switch {
		case num == fieldType && typ == protowire.VarintType:
			kind = number
		case num == fieldValue && typ == protowire.BytesType:
			value = text
		case num == fieldAttribute && typ == protowire.BytesType:
			key, err := attributeKey(text)
			attrs = append(attrs, key)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !g.want.takes(attrs) {
		return nil
	}
	switch uint32(kind) { // an enum has 32 bits, whatever else is sent
	case typeKeyword:
		g.skip("keyword", 0, value)
	case typeRegexp:
		g.skip("regexp", 0, value)
	case typeSuffix:
		return g.name(pattern.Suffix, value, 0)
	case typeExact:
		return g.name(pattern.Exact, value, 0)
	default:
		g.skip("unknown type", 0, value)
	}
	return nil
}

// attributeKey reads the name of an Attribute, in lower case. The value does not matter: v2ray's matching does not look
// at it.
func attributeKey(b []byte) (key string, err error) {
	err = fields(b, func(num protowire.Number, typ protowire.Type, _ uint64, text []byte) error {
		if num == fieldKey && typ == protowire.BytesType {
			key = strings.ToLower(string(text))
		}
		return nil
	})
	return key, err
}

// Categories returns the names of the categories of a geosite.dat in its order, in bounded memory. Errors are of r, or
// *Error.
func Categories(r io.Reader) ([]string, error) {
	const most = 100_000
	names := []string{}
	seen := map[string]bool{}
	err := eachCategory(r, func(m *message) error {
		code, err := m.code(nil)
		if err != nil || code == "" || seen[code] {
			return err
		}
		if len(names) == most {
			return &Error{Reason: fmt.Sprintf("more than %d categories; this is no geosite.dat", most)}
		}
		seen[code] = true
		names = append(names, code)
		return nil
	})
	return names, err
}

// writeGeosite writes a geosite.dat with one category. It holds it in memory, as its length comes first.
func writeGeosite(w *writing) error {
	if w.o.Category == "" || len(w.o.Category) > maxCode || !madeOf([]byte(w.o.Category), "!-") {
		return &Error{Reason: "a geosite.dat needs a category: a name of letters, digits, '-' and '!'"}
	}
	site := appendString(nil, fieldCountry, []byte(strings.ToUpper(w.o.Category)))
	var domain, name []byte
	for p := range w.patterns {
		kind := uint64(typeSuffix)
		switch {
		case !spelt(p.Name):
			w.skip("escaped name", p)
			continue
		case p.Kind == pattern.Exact:
			kind = typeExact
		case p.Kind != pattern.Suffix:
			w.skip(kindWord(p.Kind), p)
			continue
		}
		domain = protowire.AppendVarint(protowire.AppendTag(domain[:0], fieldType, protowire.VarintType), kind)
		name = p.Name.AppendTo(name[:0])
		domain = appendString(domain, fieldValue, name)
		site = appendString(site, fieldDomain, domain)
		w.report.Items++
	}
	head := protowire.AppendTag(nil, fieldEntry, protowire.BytesType)
	_, _ = w.out.Write(protowire.AppendVarint(head, uint64(len(site))))
	_, _ = w.out.Write(site)
	return nil
}

func appendString(b []byte, num protowire.Number, text []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), text)
}
