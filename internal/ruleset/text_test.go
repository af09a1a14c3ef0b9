package ruleset

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

func TestText(t *testing.T) {
	s := read(t, "# my rules", "", "  \t", "default block # last", "*.Example.com\twg0,block\r", "  =b.c  wg0,wwan0,direct  ",
		"a.c wg#0 #x", "default block")
	want := "a.c wg#0\n=b.c wg0,wwan0,direct\n*.example.com wg0\ndefault block\n"
	if got := text(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestUnmarshalErrors(t *testing.T) {
	var se *pattern.SyntaxError
	var te *TargetError
	tests := []struct {
		in     string
		line   int
		as     any
		reason string
	}{
		{"a.b wg0\n\n# x\na..b wg0", 4, &se, "empty label"},
		{"a.b wg0\na.b 3", 2, &te, "index"},
		{"a.b", 1, nil, "target is missing"},
		{"a.b # wg0", 1, nil, "target is missing"},
		{"a.b wg0 wg1", 1, nil, `unexpected "wg1"`},
		{"a.b wg0\nb wg1\nA.b. wg1", 3, nil, "a.b goes to wg1 here, to wg0 further up"},
		{"default wg0\n. wg1", 2, nil, "default goes to"},
		{"10.0.0.1/8 wg0", 1, &se, "write 10.0.0.0/8"},
	}
	for _, tt := range tests {
		s := read(t, "old wg0")
		err := s.UnmarshalText([]byte(tt.in))
		var le *LineError
		if !errors.As(err, &le) || le.Line != tt.line || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%q: error is %v, want line %d: %s", tt.in, err, tt.line, tt.reason)
		}
		if tt.as != nil && !errors.As(err, tt.as) {
			t.Errorf("%q: error %v is no %T", tt.in, err, tt.as)
		}
		if got := text(t, s); got != "old wg0\n" {
			t.Errorf("%q: the failed set became %q", tt.in, got)
		}
	}
}

func TestUnmarshalReplaces(t *testing.T) {
	s := read(t, "old wg0", "default direct")
	if err := s.UnmarshalText([]byte("new wg1\n")); err != nil || text(t, s) != "new wg1\n" {
		t.Errorf("%q, %v", text(t, s), err)
	}
}

// What is written is read back as it was, and written again byte for byte.
func TestTextProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 500 {
		s := randomSet(t, r)
		b := text(t, s)
		again := read(t, b)
		if !slices.Equal(s.Rules(), again.Rules()) || text(t, again) != b {
			t.Fatalf("not the same after\n%s", b)
		}
	}
}

func FuzzUnmarshalText(f *testing.F) {
	for _, s := range []string{
		"", "\n\n", "#", "a.b wg0\n", "a.b wg0,direct # x\r\n*.a.b block\n=a.b direct\ndefault wg0",
		"a.b mark:0", "a.b 3", "a\\000.b w#,x", "default. wg0", "a.b wg0\na.b wg1", "a.b à", "192.0.2.0/24 wg0",
		"192.0.2.0/24 wg0 user=1\n192.0.2.1 wg1 cgroup=/a/b user=0\na block cgroup=/a\na direct", "default wg0 cgroup=/x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Set
		if err := s.UnmarshalText(b); err != nil {
			var le *LineError
			if !errors.As(err, &le) || le.Line < 1 || le.Line > bytes.Count(b, []byte("\n"))+1 {
				t.Fatalf("%q: error %#v", b, err)
			}
			return
		}
		out, _ := s.MarshalText()
		var again Set
		if err := again.UnmarshalText(out); err != nil {
			t.Fatalf("%q: written %q: %v", b, out, err)
		}
		if !slices.Equal(s.Rules(), again.Rules()) {
			t.Fatalf("%q: written %q, read back otherwise", b, out)
		}
		key := pattern.HashKey{7}
		c, err := s.Compile(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Rules() {
			checkDecision(t, &s, s.Rules(), c, key, asked{name: r.Pattern.Name, addr: r.Pattern.Prefix.Addr()})
		}
	})
}
