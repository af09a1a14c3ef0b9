package listformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// msg builds protobuf messages by hand: field number, then a number or a text.
func msg(parts ...any) string {
	var b []byte
	for i := 0; i < len(parts); i += 2 {
		num := uint64(parts[i].(int)) << 3
		switch v := parts[i+1].(type) {
		case int:
			b = binary.AppendUvarint(binary.AppendUvarint(b, num), uint64(v))
		case int64:
			b = binary.AppendUvarint(binary.AppendUvarint(b, num), uint64(v))
		case string:
			b = append(binary.AppendUvarint(binary.AppendUvarint(b, num|2), uint64(len(v))), v...)
		case uint32:
			b = binary.LittleEndian.AppendUint32(binary.AppendUvarint(b, num|5), v)
		case uint64:
			b = binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, num|1), v)
		}
	}
	return string(b)
}

// domain builds the field of a Domain.
func domain(typ int, value string, attrs ...string) string {
	parts := []any{1, typ, 2, value}
	for _, a := range attrs {
		parts = append(parts, 3, msg(1, a, 2, 1))
	}
	return msg(2, msg(parts...))
}

func sayGeosite(t *testing.T, dat, category string, attrs ...string) []string {
	t.Helper()
	return say(t, dat, Options{Format: Geosite, Category: category, Attrs: attrs})
}

func TestGeosite(t *testing.T) {
	cn := msg(1, "CN") + domain(2, "a.cn") + domain(3, "b.cn", "ads", "!cn") + domain(0, "key") + domain(1, "^re") +
		domain(2, "bad name") + domain(7, "x") + msg(3, "hash", 4, "cn2") + msg(2, msg(2, "c.cn", 1, int64(1<<32+2), 9, uint32(1), 8, uint64(1)))
	dat := msg(1, msg(1, "OTHER")+domain(2, "x.y"), 1, cn, 7, 5, 8, "?", 1, msg(1, "EMPTY"), 1, msg(1, "cn")+domain(2, "again"))
	all := []string{"a.cn", "=b.cn", "c.cn", "keyword: key", "regexp: ^re", "bad name: bad name", "unknown type: x", "repeated category: cn"}
	tests := []struct {
		category, attrs string
		want            []string
	}{
		{"CN", "", all}, {"cn", "", all}, {"other", "", []string{"x.y"}}, {"empty", "", nil},
		{"CN", "ADS", []string{"=b.cn", "repeated category: cn"}},
		{"CN", "!ads", slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "=b.cn" })},
		{"CN", "@!cn", []string{"=b.cn", "repeated category: cn"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, sayGeosite(t, dat, tt.category, strings.Fields(tt.attrs)...)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.category, tt.attrs, diff)
		}
	}
	got, err := Categories(iotest.OneByteReader(strings.NewReader(dat)))
	if diff := cmp.Diff([]string{"OTHER", "CN", "EMPTY", "cn"}, got); diff != "" || err != nil {
		t.Errorf("categories: %v (-want +got):\n%s", err, diff)
	}
}

// The name may come late, or in the other field.
func TestGeositeNameAnywhere(t *testing.T) {
	a, b := domain(2, "a.x"), domain(3, "b.x")
	for _, entry := range []string{
		a + msg(1, "CN") + b, a + b + msg(1, "CN"), a + msg(4, "US") + b + msg(1, "CN"), a + b + msg(4, "CN"), msg(4, "CN") + a + b,
		msg(1, "", 4, "CN") + a + b, msg(1, "CN", 4, "US") + a + b, msg(1, "CN", 1, "US") + a + b, msg(1, "", 1, "CN") + a + b,
	} {
		dat := msg(1, domain(2, "no.x")+msg(1, "NO"), 1, entry)
		if diff := cmp.Diff([]string{"a.x", "=b.x"}, sayGeosite(t, dat, "CN")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", entry, diff)
		}
	}
}

func TestGeositeErrors(t *testing.T) {
	dat := msg(1, msg(1, "GOOGLE"), 1, msg(1, "CN")+domain(2, "a.cn"), 1, msg(1, "GEOLOCATION-CN"))
	tests := []struct{ dat, category, want string }{
		{dat, "", "say which category; `domain-route import --categories FILE` lists them"},
		{dat, "gogle", `no category "gogle" in this geosite.dat: is it GOOGLE?; ` + "`domain-route import --categories FILE`"},
		{dat, "location", "is it GEOLOCATION-CN?"},
		{dat, "CM", "is it CN?"},
		{dat, "netflix", `no category "netflix" in this geosite.dat; `},
		{"", "x", "no category"},
		{dat[:len(dat)-1], "CN", "cut off"},
		{"\x0a", "CN", "cut off"},
		{"\x0a\xff", "CN", "cut off"},
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "CN", "a category of 18446744073709551615 bytes"},
		{"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "CN", "cut off"},
		{"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "CN", "does not end"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "CN", "does not end"},
		{msg(1, "\x0a\x7f"), "CN", "a field of 127 bytes where 0 are left"},
		{msg(1, "\x0a"), "CN", "does not end"}, {msg(1, "\x08"), "CN", "does not end"}, {msg(1, "\x0d\x00"), "CN", "a field of 4 bytes where 1 are left"},
		{"\x0b", "CN", "field 1 has wire type 3"}, {"\x00\x00", "CN", "field number 0"},
		{msg(1, msg(1, "CN", 2, "\x12\x7fx")), "CN", "damaged"},
		{msg(1, msg(1, "CN", 2, msg(3, "\x0a\x09"))), "CN", "damaged"},
		{"example.com\nexample.org\n", "CN", "damaged"},
		{msg(1, strings.Repeat(domain(2, strings.Repeat("x", 60000)), 600)+msg(1, "CN")), "CN", "more than 32 MiB before its name"},
	}
	for _, tt := range tests {
		_, err := Read(strings.NewReader(tt.dat), Options{Format: Geosite, Category: tt.category}, func(Item) error { return nil })
		var ours *Error
		if !errors.As(err, &ours) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q, %q: error is %v, want %s", tt.dat, tt.category, err, tt.want)
		}
	}
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader(dat[:12]), iotest.ErrReader(broken))
	if _, err := Read(in, Options{Format: Geosite, Category: "CN"}, func(Item) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("the reader's error came as %v", err)
	}
	if _, err := Read(strings.NewReader(dat), Options{Format: Geosite, Category: "CN"}, func(Item) error { return broken }); err != broken { //nolint:errorlint // as it is
		t.Errorf("emit's error came as %v", err)
	}
}

// A file of 200 MiB, whose largest domain is of 100 MiB, takes little memory, whichever category is read.
func TestGeositeMemory(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 100<<20)
	head := msg(1, "BIG")
	field := binary.AppendUvarint([]byte("\x12"), uint64(len(big)))
	tail := domain(2, "a.x")
	size := len(head) + len(field) + len(big) + len(tail)
	entry := func() io.Reader {
		return io.MultiReader(bytes.NewReader(binary.AppendUvarint([]byte("\x0a"), uint64(size))), strings.NewReader(head),
			bytes.NewReader(field), bytes.NewReader(big), strings.NewReader(tail))
	}
	for category, want := range map[string]int{"BIG": 1, "SMALL": 1} {
		in := io.MultiReader(entry(), entry(), strings.NewReader(msg(1, msg(1, "SMALL")+tail)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		report, err := Read(in, Options{Format: Geosite, Category: category}, func(Item) error { return nil })
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 || err != nil || report.Items != want {
			t.Errorf("%s: %d bytes allocated, %d items, %v", category, used, report.Items, err)
		}
	}
}

func differGeosite(t *testing.T, dat []byte, category, attr string) {
	t.Helper()
	want, codes, codesOK, ok := naiveGeosite(dat, category, attr)
	o := Options{Format: Geosite, Category: category}
	if attr != "" {
		o.Attrs = []string{attr}
	}
	got := newOutcome()
	report, err := Read(bytes.NewReader(dat), o, func(i Item) error {
		got.Items = append(got.Items, i)
		return nil
	})
	if ok != (err == nil) {
		t.Fatalf("%q, %q: error is %v, naive reading says %v", dat, category, err, ok)
	}
	for _, s := range report.Skipped {
		got.Count[s.Kind] = s.Count
	}
	want.Skipped = got.Skipped
	if diff := cmp.Diff(want, got, samePattern); ok && diff != "" {
		t.Fatalf("%q, %q (-want +got):\n%s", dat, category, diff)
	}
	have, err := Categories(bytes.NewReader(dat))
	if codesOK != (err == nil) || codesOK && !slices.Equal(codes, have) {
		t.Fatalf("%q: categories %q, %v, want %q, %v", dat, have, err, codes, codesOK)
	}
}

// randomGeosite makes up a geosite.dat, at times with damage.
func randomGeosite(r *rand.Rand) []byte {
	var dat []byte
	for range r.IntN(5) {
		parts := []string{}
		for range r.IntN(8) {
			name := names[r.IntN(len(names))]
			parts = append(parts, domain(r.IntN(5), name, []string{"a", "B", "!cn"}[:r.IntN(4)]...))
		}
		for range r.IntN(3) {
			parts = append(parts, []string{msg(3, "hash"), msg(4, "CN"), msg(1, ""), msg(9, 1), msg(2, msg(9, uint64(7), 2, "x.y", 1, 3)), msg(8, uint32(1))}[r.IntN(6)])
		}
		name := msg(1, []string{"CN", "cn", "US", "GEOLOCATION-!CN"}[r.IntN(4)])
		if r.IntN(10) > 0 {
			parts = slices.Insert(parts, []int{0, 0, 0, r.IntN(len(parts) + 1)}[r.IntN(4)], name)
		}
		dat = append(dat, msg(1, strings.Join(parts, ""))...)
	}
	for range r.IntN(4) - 1 {
		if len(dat) > 0 {
			dat[r.IntN(len(dat))] = byte(r.IntN(256))
		}
	}
	if r.IntN(10) == 0 {
		dat = dat[:r.IntN(len(dat)+1)]
	}
	return dat
}

func TestGeositeAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 5000 {
		differGeosite(t, randomGeosite(r), []string{"CN", "us"}[r.IntN(2)], []string{"", "", "a", "!b"}[r.IntN(4)])
	}
}

func FuzzGeosite(f *testing.F) {
	r := rand.New(rand.NewPCG(23, 24))
	for range 30 {
		f.Add(randomGeosite(r), "CN", "")
	}
	f.Add([]byte("\x0a\x07\x0a\x02CN\x12\x01\x13"), "cn", "a")
	f.Fuzz(func(t *testing.T, dat []byte, category, attr string) {
		if category == "" || strings.HasPrefix(attr, "@") || len(dat) > 60_000 {
			return
		}
		differGeosite(t, dat, category, attr)
	})
}

func TestWriteGeositeRefuses(t *testing.T) {
	for _, category := range []string{"", "a b", "a.b", strings.Repeat("a", 257)} {
		_, err := Write(io.Discard, WriteOptions{Format: Geosite, Category: category}, func(func(pattern.Pattern) bool) {})
		var ours *Error
		if !errors.As(err, &ours) {
			t.Errorf("%q: error is %v", category, err)
		}
	}
	var dat bytes.Buffer
	_, err := Write(&dat, WriteOptions{Format: Geosite, Category: "my-!list"}, func(yield func(pattern.Pattern) bool) {
		_ = yield(pattern.Pattern{Kind: pattern.Suffix, Name: "\x01a\x00"})
	})
	if want := msg(1, msg(1, "MY-!LIST")+domain(2, "a")); err != nil || dat.String() != want {
		t.Errorf("%q, %v, want %q", dat.String(), err, want)
	}
}
