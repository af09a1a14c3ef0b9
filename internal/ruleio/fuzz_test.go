package ruleio

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// Whatever a file holds, Parse gives a configuration or one line that says where it is wrong.
func FuzzParse(f *testing.F) {
	for _, text := range good {
		f.Add([]byte(text))
	}
	for _, tt := range bad {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Add([]byte("rules: [" + strings.Repeat("{match: a, target: b}, ", 1000) + "]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(Source{Path: "c.yaml", Data: data})
		if err == nil {
			var c *Config
			if c, err = Merge([]*File{file}); err == nil {
				_, err = c.Load(LoadOptions{Open: files{"x": "a.b\n"}.open, Users: users, Thorough: true})
			}
		}
		if err == nil {
			return
		}
		var e *Error
		if !errors.As(err, &e) || e.Reason == "" || strings.ContainsAny(e.Error(), "\n\x00\x1b") || len(e.Error()) > 4096 {
			t.Errorf("the error is %q", err)
		}
		lines := strings.Split(string(data), "\n")
		if e.Path == "c.yaml" && (e.Line > len(lines) || e.Line > 0 && e.Column > len(lines[e.Line-1])+1 || e.Line > 0 && e.Column < 1) {
			t.Errorf("%v is at no place of the file", e)
		}
	})
}

// A cache that is anything else than what EncodeCache made is refused, also where its checksum was made anew: nothing
// panics, nothing takes more memory than the cache has bytes for.
func FuzzDecodeCache(f *testing.F) {
	_, b := exampleCache(f)
	f.Add(b)
	f.Add(b[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, _, err := DecodeCache(b, inputs); err == nil && l.Rules == nil {
			t.Error("no rules, and no error")
		}
		if len(b) < sha256.Size+binary.Size(cacheHead{}) {
			return
		}
		sum := sha256.Sum256(b[:len(b)-sha256.Size])
		copy(b[len(b)-sha256.Size:], sum[:])
		_, _, _ = DecodeCache(b, inputs)
	})
}
