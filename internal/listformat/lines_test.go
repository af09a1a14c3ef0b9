package listformat

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// say spells a reading: the patterns, exceptions with "@" before them, then what was skipped as "kind: first text".
func say(t *testing.T, text string, o Options) []string {
	t.Helper()
	var out []string
	report, err := Read(strings.NewReader(text), o, func(i Item) error {
		s := i.Pattern.String()
		if i.Exception {
			s = "@" + s
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Errorf("Read(%q): %v", text, err)
	}
	for _, s := range report.Skipped {
		out = append(out, s.Kind+": "+s.First)
	}
	return out
}

// What each kind of line is read as; that every other reading agrees is TestLineFormatsAgainstNaive's to say.
func TestLineFormats(t *testing.T) {
	tests := []struct {
		o    Options
		in   string
		want []string
	}{
		{Options{Format: Plain}, "Example.com. # why", []string{"example.com"}},
		{Options{Format: Plain, Exact: true}, "example.com\n*.x\n=y", []string{"=example.com", "*.x", "=y"}},
		{Options{Format: Plain}, "*.x\n=y\nmünchen.de\ndefault.", []string{"*.x", "=y", "xn--mnchen-3ya.de", "default."}},
		{Options{Format: Plain}, ".x\ndefault\na b\na..b", []string{"leading dot: .x", "default: default", "several words: a b", "bad name: a..b"}},
		{Options{Format: Plain}, "\xef\xbb\xbf#a\r\n\r\n;b\r\n!c\r\nd\r\n", []string{"d"}},
		{Options{Format: Plain}, "caf\xe9.fr", []string{"bad name: caf\uFFFD.fr"}},
		{Options{Format: Plain}, "# caf\xe9\nx", []string{"x"}},
		{Options{Format: Hosts}, "127.0.0.1 a b # c", []string{"=a", "=b"}},
		{Options{Format: Hosts}, "::1 localhost a\nx y\n1.1.1.1", []string{"=a", "host's own name: localhost", "no address: x y", "no name: 1.1.1.1"}},
		{Options{Format: Dnsmasq}, "server=/a/.b/*.c/1.1.1.1", []string{"a", "b", "*.c"}},
		{Options{Format: Dnsmasq}, "server=/a/#\naddress=/b/#\n--local=/c/ # x", []string{"b", "c", "@a"}},
		{Options{Format: Dnsmasq}, "local=/a/#\nipset=/b/#\n", []string{"b", "@a"}},
		{Options{Format: Hosts}, `1.1.1.1 a\.b a\097`, []string{`bad name: a\.b`}},
		{Options{Format: Dnsmasq}, "nftset=/a/b/4#inet#fw4#v,6#inet#fw4#w\nipset=/c/d,e", []string{"a", "b", "c"}},
		{Options{Format: Dnsmasq}, "server=/*a.b/#/1.1\nserver=//1.1\nno-poll", []string{"string suffix: *a.b", "any name: /#/", "names without dots: //", "other option: no-poll"}},
		{Options{Format: Adblock}, "||a^\n@@||b^$important\nc # d\n1.1.1.1 e", []string{"a", "=c", "=e", "@b"}},
		{Options{Format: Adblock}, "a##b", []string{"cosmetic: a##b"}},
		{Options{Format: Adblock}, "##.b", []string{"cosmetic: ##.b"}},
		{Options{Format: Adblock}, "###b", []string{"cosmetic: ###b"}},
		{Options{Format: Adblock}, "#@#b", []string{"cosmetic: #@#b"}},
		{Options{Format: Adblock}, "## b\n### b ##\n#####\n# b##c\n! b##c\n!#endif\n!#iffy", nil},
		{Options{Format: Adblock}, "!#include b.txt\n!#if (c)", []string{"directive: !#include b.txt"}},
		{Options{Format: Adblock}, "/^a\\d+$/", []string{"regexp: /^a\\d+$/"}},
		{Options{Format: Adblock}, "/^a$/$important", []string{"regexp: /^a$/$important"}},
		{Options{Format: Adblock}, "||a^$important,client=b", []string{"modifier: ||a^$important,client=b"}},
		{Options{Format: Adblock}, "||*.a^", []string{"wildcard: ||*.a^"}},
		{Options{Format: Adblock}, "||a/b^", []string{"path: ||a/b^"}},
		{Options{Format: Adblock}, "|a^", []string{"anchored: |a^"}},
		{Options{Format: Adblock}, "||a", []string{"anchored: ||a"}},
		{Options{Format: Adblock}, "-ad^", []string{"part of a name: -ad^"}},
		{Options{Format: Adblock}, "-ad-banner.\n-ad.\nad-\n.ad\na.-b\na..b\na-b.c", []string{"=a-b.c", "part of a name: -ad-banner."}},
		{Options{Format: Adblock}, "||-ad.x^", []string{"-ad.x"}},
		{Options{Format: Adblock}, "||1.2.3.4^\n||2001:db8::1^\n||::ffff:1.2.3.5^\n||1.2.3^\n||fe80::1%a^",
			[]string{"1.2.3.4", "2001:db8::1", "1.2.3.5", "bad name: 1.2.3"}},
		{Options{Format: Adblock}, "a$important", []string{"part of a name: a$important"}},
		{Options{Format: Adblock}, "||a_:b^\n! x\n# y\n[Adblock Plus 2.0]", []string{"bad name: a_:b"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, say(t, tt.in, tt.o)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.o.Format, tt.in, diff)
		}
	}
}

func TestSkippedIsShort(t *testing.T) {
	report, err := Read(strings.NewReader(strings.Repeat("ü", 1000)+" x\n\n"+strings.Repeat("a b\n", 9)), Options{Format: Plain}, nil)
	want := Report{Skipped: []Skipped{{"several words", 10, []int{1, 3, 4, 5, 6}, strings.Repeat("ü", 40)}}}
	if diff := cmp.Diff(want, report); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestLinesThatAreNoText(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	tests := []struct {
		in   string
		want *Error
	}{
		{"#" + long[1:], nil},
		{"#" + long[1:] + "\r\n", nil},
		{"#\n#" + long, &Error{Line: 2, Reason: "longer than 64 KiB"}},
		{"#" + long[600:] + strings.Repeat("\r", 1000), &Error{Line: 1, Reason: "longer than 64 KiB"}},
		{"#\n#" + long + "\r\n", &Error{Line: 2, Reason: "longer than 64 KiB"}},
		{"#" + long + long, &Error{Line: 1, Reason: "longer than 64 KiB"}},
		{"a\nb\x00c\n", &Error{Line: 2, Column: 2, Reason: "a zero byte"}},
		{"a\x00.\x00b\x00", &Error{Line: 1, Column: 2, Reason: "a zero byte"}},
	}
	for _, format := range []Format{Plain, Hosts, Dnsmasq, Adblock} {
		for _, tt := range tests {
			_, err := Read(strings.NewReader(tt.in), Options{Format: format}, func(Item) error { return nil })
			var got *Error
			if errors.As(err, &got) != (tt.want != nil) {
				t.Errorf("%s %.20q: %v, want %v", format, tt.in, err, tt.want)
			} else if got != nil && (got.Line != tt.want.Line || got.Column != tt.want.Column || !strings.Contains(got.Reason, tt.want.Reason)) {
				t.Errorf("%s %.20q: %v, want %v", format, tt.in, got, tt.want)
			}
		}
	}
}

// Errors of the reader and of emit come through as they are, wherever they happen.
func TestErrorsComeThrough(t *testing.T) {
	broken, full := errors.New("broken"), errors.New("full")
	for _, format := range []Format{Plain, Adblock} {
		for _, before := range []string{"", "a", "a\n", "\xef\xbb", "||a^\n||b^\n"} {
			in := io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken))
			if _, err := Read(in, Options{Format: format}, func(Item) error { return nil }); !errors.Is(err, broken) {
				t.Errorf("%s after %q: %v, want %v", format, before, err, broken)
			}
		}
		calls := 0
		_, err := Read(strings.NewReader("a\nb\nc\n"), Options{Format: format}, func(Item) error {
			calls++
			return full
		})
		if !errors.Is(err, full) || calls != 1 {
			t.Errorf("%s: %v after %d calls, want %v after one", format, err, calls, full)
		}
	}
}

// A reader that gives a byte at a time, or an error with its last bytes, makes no difference.
func TestSlowReaders(t *testing.T) {
	const text = "\xef\xbb\xbfa\r\n\r\nb # c\nlast"
	for i, in := range []io.Reader{
		iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text)),
	} {
		var got []string
		if _, err := Read(in, Options{Format: Plain}, func(it Item) error {
			got = append(got, it.Pattern.String())
			return nil
		}); err != nil || !slices.Equal(got, []string{"a", "b", "last"}) {
			t.Errorf("reader %d: %q, %v", i, got, err)
		}
	}
}

// A word of a plain list is what it is as a rule's pattern.
func TestPlainIsOurSyntax(t *testing.T) {
	words := append(slices.Clone(names), "1.2.3.4", "::ffff:1.2.3.4", "1.2.3.0/24", "[::1]", "::1", "1.2.3.4:53", "https://a.b/c", "10", "١.x", "Default.", `\041x`, "[1.2.3.4]", "1.2.3.4.")
	for _, name := range words {
		for _, sign := range []string{"", "=", "*.", "==", "*", "=*."} {
			word := sign + name
			if strings.ContainsAny(word, " \v") || word[0] == '.' {
				continue
			}
			p, err := pattern.Parse(word)
			good := err == nil && p.Kind != pattern.Default
			report, readErr := Read(strings.NewReader(word), Options{Format: Plain}, func(i Item) error {
				if i.Pattern != p {
					t.Errorf("%q is %v, want %v", word, i.Pattern, p)
				}
				return nil
			})
			if readErr != nil || (report.Items == 1) != good {
				t.Errorf("%q: %v, %v; as a pattern %v, %v", word, report, readErr, p, err)
			}
		}
	}
}

// Formats has each format there is a reader for, once.
func TestFormats(t *testing.T) {
	all := map[Format]bool{}
	for _, f := range Formats() {
		if readers[f] == nil {
			t.Errorf("%s has no reader", f)
		}
		all[f] = true
	}
	if len(all) != len(readers) || len(all) != len(Formats()) {
		t.Errorf("%v", Formats())
	}
}
