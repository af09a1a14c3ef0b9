package pattern

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// A key leads back to its name, its text and its hash.
func TestKeyProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var buf [maxLabel]byte
	for range 20_000 {
		n := randomName(r)
		if n == Root {
			continue
		}
		key := n.AppendSortKey(nil)
		if back, ok := FromSortKey(key); back != n || ok != !allDigits(n) {
			t.Fatalf("%s: key %q is of %q, %v", n, key, back, ok)
		}
		if ValidSortKey(key) == allDigits(n) {
			t.Fatalf("%s: key %q is valid: %v", n, key, ValidSortKey(key))
		}
		for _, kind := range []Kind{Suffix, Subdomains, Exact} {
			if got, want := string(AppendKeyText(nil, kind, key)), (Pattern{Kind: kind, Name: n}).String(); got != want {
				t.Fatalf("key %q: %s, want %s", key, got, want)
			}
		}
		hash, rest := uint64(0), key
		for len(rest) > 0 {
			var label []byte
			label, rest = CutSortKey(rest, &buf)
			hash = HashKey{1}.Below(hash, label)
		}
		if hash != (HashKey{1}).Hash(n) {
			t.Fatalf("%s: hash %#x, want %#x", n, hash, HashKey{1}.Hash(n))
		}
		if parent, _ := n.Parent(); !bytes.HasPrefix(key, parent.AppendSortKey(nil)) {
			t.Fatalf("%s: key %q does not begin with its parent's", n, key)
		}
	}
	if got := AppendKeyText(nil, Suffix, []byte("default\x00")); string(got) != "default." {
		t.Errorf("default. is %s", got)
	}
}

func TestFromSortKeyErrors(t *testing.T) {
	for _, key := range []string{
		"", "a", "\x00", "a\x00\x00", "A\x00", "a\x01\x00", "a\x01\x03\x00", "\x01", "a\x00b", "1\x00", "1\x002\x00",
		strings.Repeat("a", 64) + "\x00", strings.Repeat("a\x00", 128), strings.Repeat("\x01\x01", 64) + "\x00",
	} {
		if n, ok := FromSortKey([]byte(key)); ok || ValidSortKey([]byte(key)) {
			t.Errorf("%q is the key of %q", key, n)
		}
	}
	for _, key := range []string{strings.Repeat("a\x00", 127), strings.Repeat("a", 63) + "\x00", "a\x001\x00", "1\x00a\x00"} {
		if n, ok := FromSortKey([]byte(key)); !ok || !ValidSortKey([]byte(key)) || string(n.AppendSortKey(nil)) != key {
			t.Errorf("%q is no key, or that of %q", key, n)
		}
	}
}

func TestAppendPlainKey(t *testing.T) {
	for in, want := range map[string]string{
		"com": "com\x00", "a.B-c._d": "_d\x00b-c\x00a\x00", "1.a": "a\x001\x00", "default.a": "a\x00default\x00", "a.1": "",
		"default": "", "DEFAULT": "", "": "", ".": "", "a.": "", ".a": "", "a..b": "", "1.2": "", "a b": "", "é": "", "a/b": "",
		`a\.b`: "", "*": "", strings.Repeat("a", 63): strings.Repeat("a", 63) + "\x00", strings.Repeat("a", 64): "",
		strings.TrimSuffix(strings.Repeat("a.", 127), "."): strings.Repeat("a\x00", 127), strings.TrimSuffix(strings.Repeat("a.", 128), "."): "",
	} {
		key, ok := AppendPlainKey([]byte("x"), []byte(in))
		if ok != (want != "") || ok && string(key) != "x"+want {
			t.Errorf("%q: %q, %v; want %q", in, key, ok, want)
		}
	}
}

// What passes for plain is what Parse makes of it.
func FuzzPlainKey(f *testing.F) {
	for _, s := range []string{"example.com", "A.b", "1.2.3.4", "a.1", "default", "default.", "_x.y-", "a..b", "xn--a", "münchen.de", "com.", `\061`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, ok := AppendPlainKey(nil, []byte(s))
		if !ok {
			return
		}
		p, err := Parse(s)
		if err != nil || p.Kind != Suffix || !bytes.Equal(key, p.Name.AppendSortKey(nil)) {
			t.Fatalf("%q: plain key %q, parsed %v, %v", s, key, p, err)
		}
	})
}

// FromSortKey and ValidSortKey agree, and keys that are valid are those of names.
func FuzzSortKey(f *testing.F) {
	for _, s := range []string{"", "com\x00a\x00", "\x01\x01\x00", "a\x01\x02b\x00", "1\x00", "A\x00", "a", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		n, ok := FromSortKey(key)
		if ok != ValidSortKey(key) {
			t.Fatalf("%q: a key: %v, valid: %v", key, ok, !ok)
		}
		if ok && !bytes.Equal(n.AppendSortKey(nil), key) {
			t.Fatalf("%q: key of %q, whose key is %q", key, n, n.AppendSortKey(nil))
		}
	})
}
