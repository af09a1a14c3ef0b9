package ruleio

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domain-route/domain-route/internal/ruleset"
)

var inputs, digest = [32]byte{1}, [32]byte{2}

func exampleCache(t testing.TB) (*Loaded, []byte) {
	t.Helper()
	l := load(t, files{"l": "a.x\nb.x\nco.uk\n*keyword*\n"}, "c.yaml",
		"rules: [{match: [a.x, 10.0.0.0/8, default], target: wg0, user: anna}]\nlists: [{file: l, format: plain, match: suffix, target: block}, {file: l, format: plain, match: suffix, target: direct}]")
	b, err := EncodeCache(inputs, l, digest)
	if err != nil {
		t.Fatal(err)
	}
	return l, b
}

func TestCache(t *testing.T) {
	l, b := exampleCache(t)
	got, gotDigest, err := DecodeCache(b, inputs)
	if err != nil || gotDigest != digest {
		t.Fatal(err, gotDigest)
	}
	if diff := cmp.Diff(l, got, cmpopts.IgnoreFields(Loaded{}, "Rules")); diff != "" || len(got.Findings) == 0 || len(got.Lists) != 2 || got.Users["anna"] != 1000 {
		t.Error(diff)
	}
	if got, want := rulesOf(t, got), rulesOf(t, l); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// An empty configuration has a cache, too.
func TestCacheEmpty(t *testing.T) {
	b, err := EncodeCache(inputs, &Loaded{Rules: ruleset.New()}, digest)
	if err != nil {
		t.Fatal(err)
	}
	if l, _, err := DecodeCache(b, inputs); err != nil || l.Rules.Len() != 0 {
		t.Error(l, err)
	}
}

func TestCacheRefuses(t *testing.T) {
	_, b := exampleCache(t)
	if _, _, err := DecodeCache(b, [32]byte{9}); !errors.Is(err, ErrStale) {
		t.Errorf("other inputs: %v", err)
	}
	newer := bytes.Clone(b)
	binary.LittleEndian.PutUint16(newer[len(cacheMagic):], cacheVersion+1)
	if _, _, err := DecodeCache(newer, inputs); !errors.Is(err, ErrStale) {
		t.Errorf("another version: %v", err)
	}
	for i := range b {
		cut, flipped := b[:i], bytes.Clone(b)
		flipped[i] ^= 0x10
		if _, _, err := DecodeCache(cut, inputs); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		if _, _, err := DecodeCache(flipped, inputs); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrStale) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	longer := bytes.Clone(b)
	longer[len(cacheMagic)+2+2*sha256.Size+2]++ // 64 KiB more of findings than there are
	sum := sha256.Sum256(longer[:len(b)-sha256.Size])
	copy(longer[len(b)-sha256.Size:], sum[:])
	if _, _, err := DecodeCache(longer, inputs); !errors.Is(err, ErrDamaged) {
		t.Errorf("lengths that are wrong: %v", err)
	}
	if _, _, err := DecodeCache(append(bytes.Clone(b), 0), inputs); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}
