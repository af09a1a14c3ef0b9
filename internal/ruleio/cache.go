package ruleio

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// What makes a cache of no use.
var (
	ErrStale   = errors.New("the cache is of other inputs, or of another version")
	ErrDamaged = errors.New("the cache is damaged")
)

// cacheMagic is followed by the version of the format: raise it when the same inputs come to other rules, too.
const (
	cacheMagic   = "domain-route rules"
	cacheVersion = 2
)

// cacheHead is what stands before the findings and the rules; SHA-256 over all of it stands at the end.
type cacheHead struct {
	Magic   [len(cacheMagic)]byte
	Version uint16
	Inputs  [sha256.Size]byte
	Digest  [sha256.Size]byte
	Notes   uint32 // bytes of JSON that follow: Loaded without its rules
	Rules   uint32 // bytes of Set.MarshalBinary behind them
}

// EncodeCache returns what DecodeCache makes l and digest of. inputs is a hash of all that l was made from, digest that
// of its rules.
func EncodeCache(inputs [32]byte, l *Loaded, digest [32]byte) ([]byte, error) {
	rules, err := l.Rules.MarshalBinary()
	if err != nil {
		return nil, err
	}
	notes, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	head := cacheHead{Version: cacheVersion, Inputs: inputs, Digest: digest, Notes: uint32(len(notes)), Rules: uint32(len(rules))}
	copy(head.Magic[:], cacheMagic)
	if uint64(len(rules)) != uint64(head.Rules) {
		return nil, fmt.Errorf("%d bytes of rules do not fit into a cache", len(rules))
	}
	out := make([]byte, 0, binary.Size(head)+len(notes)+len(rules)+sha256.Size)
	if out, err = binary.Append(out, binary.LittleEndian, head); err != nil {
		return nil, err
	}
	out = append(append(out, notes...), rules...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// DecodeCache reads what EncodeCache made. The error is ErrDamaged, or ErrStale when it was made from other inputs or
// by another version.
func DecodeCache(b []byte, inputs [32]byte) (l *Loaded, digest [32]byte, err error) {
	var head cacheHead
	size, err := binary.Decode(b, binary.LittleEndian, &head)
	if err != nil || string(head.Magic[:]) != cacheMagic || len(b) < size+sha256.Size {
		return nil, digest, ErrDamaged
	}
	if head.Version != cacheVersion {
		return nil, digest, ErrStale
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) {
		return nil, digest, ErrDamaged
	}
	if head.Inputs != inputs {
		return nil, digest, ErrStale
	}
	if uint64(len(body)) != uint64(size)+uint64(head.Notes)+uint64(head.Rules) {
		return nil, digest, ErrDamaged
	}
	notes, rules := body[size:size+int(head.Notes)], body[size+int(head.Notes):]
	l = &Loaded{Rules: &ruleset.Set{}}
	if err := json.Unmarshal(notes, l); err != nil {
		return nil, digest, ErrDamaged
	}
	if err := l.Rules.UnmarshalBinary(rules); err != nil {
		return nil, digest, ErrDamaged
	}
	return l, head.Digest, nil
}
