package ruleset

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
)

// The binary form, for caches: all numbers are uvarints, all texts behind their length.
//
//	magic
//	targets: count, texts
//	nodes:   count, then each: user (0 none, else UID+1), cgroup's text ("" none), target's place, the other slot
//	rows:    count, then each: the three slots of a name (Suffix, Subdomains, Exact)
//	names:   count, then each: how many bytes of its key are those of the one before, the others, its row
//	prefixes: count, then each: 4 or 6, the address's bytes, the length, the slot
//	default: the slot
//	CRC-32C of all before, 4 bytes, little endian
//
// A slot is 0, or 2*(a target's place)+2, or 2*(a node's place)+1. A node's other slot is 0, a target or an earlier
// node. Names and prefixes are in the order of Rules; every blockSize-th name shares nothing with the one before, so that
// few bytes cannot stand for many.

// magic tells the form and its version, the last byte.
const magic = "drrules\x01"

const blockSize = 16

// ErrDamaged is returned for bytes that are no binary form of a rule set, or not any more.
var ErrDamaged = errors.New("not a whole rule set of this version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MarshalBinary returns a compact form that UnmarshalBinary reads back several times faster than text. It depends on
// the rules alone, not on how the set came by them. A set with more than MaxChoices conditions for one pattern cannot be read
// back. The error is always nil.
func (s *Set) MarshalBinary() ([]byte, error) {
	s.names.tidy()
	e := encoder{set: s, targets: make([]uint64, len(s.targets)+1), nodes: make([]uint64, len(s.nodes)), rows: map[slots]uint64{}}
	body := e.body()
	out := make([]byte, 0, len(magic)+len(body)+crc32.Size+64*(len(e.usedTargets)+len(e.usedNodes))+16*len(e.usedRows))
	out = e.head(append(out, magic...))
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli)), nil
}

// encoder gives targets, nodes and rows their places in the order of first use.
type encoder struct {
	set         *Set
	targets     []uint64 // by targetID: place plus one, 0 none yet
	nodes       []uint64 // by node: place plus one, 0 none yet
	rows        map[slots]uint64
	usedTargets []targetID
	usedNodes   []node
	usedRows    []slots
	row         slots // the last one
	rowAt       uint64
}

// body encodes names, prefixes and the default.
func (e *encoder) body() []byte {
	s := e.set
	out := make([]byte, 0, s.names.keys.size+2*s.names.rules+24*len(s.prefixes)+16)
	out = binary.AppendUvarint(out, uint64(s.names.rules))
	var before []byte
	count := 0
	for _, from := range s.names.list {
		if from.at == (slots{}) {
			continue
		}
		key := s.names.keys.get(from.key)
		if count%blockSize == 0 {
			before = nil
		}
		common := commonLength(before, key)
		out = binary.AppendUvarint(out, uint64(common))
		out = appendText(out, key[common:])
		out = binary.AppendUvarint(out, e.rowOf(from.at))
		before = key
		count++
	}
	out = binary.AppendUvarint(out, uint64(len(s.prefixes)))
	for _, p := range s.sortedPrefixes() {
		out = appendPrefix(out, p)
		out = binary.AppendUvarint(out, e.slot(s.prefixes[p]))
	}
	return binary.AppendUvarint(out, e.slot(s.def))
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		b = append(append(b, 4), a[:]...)
	} else {
		a := p.Addr().As16()
		b = append(append(b, 6), a[:]...)
	}
	return binary.AppendUvarint(b, uint64(p.Bits()))
}

// head encodes what body has used.
func (e *encoder) head(out []byte) []byte {
	out = binary.AppendUvarint(out, uint64(len(e.usedTargets)))
	for _, id := range e.usedTargets {
		out = appendText(out, e.set.target(id).String())
	}
	out = binary.AppendUvarint(out, uint64(len(e.usedNodes)))
	for _, n := range e.usedNodes {
		user := uint64(0)
		if n.cond.User {
			user = uint64(n.cond.UID) + 1
		}
		out = binary.AppendUvarint(out, user)
		out = appendText(out, n.cond.Cgroup)
		out = binary.AppendUvarint(out, e.targets[n.then]-1)
		out = binary.AppendUvarint(out, e.slot(n.otherwise))
	}
	out = binary.AppendUvarint(out, uint64(len(e.usedRows)))
	for _, row := range e.usedRows {
		for _, sl := range row {
			out = binary.AppendUvarint(out, e.slot(sl))
		}
	}
	return out
}

// rowOf returns the place of a row, new if need be.
func (e *encoder) rowOf(row slots) uint64 {
	if row == e.row {
		return e.rowAt
	}
	at, ok := e.rows[row]
	if !ok {
		for _, sl := range row {
			e.slot(sl)
		}
		at = uint64(len(e.usedRows))
		e.rows[row] = at
		e.usedRows = append(e.usedRows, row)
	}
	e.row, e.rowAt = row, at
	return at
}

// slot returns the code of a slot; its target or nodes get places if they have none.
func (e *encoder) slot(sl slot) uint64 {
	switch {
	case sl == 0:
		return 0
	case sl&nodeBit == 0:
		return 2*(e.place(targetID(sl))-1) + 2
	}
	at := &e.nodes[sl&^nodeBit]
	if *at == 0 {
		n := e.set.nodes[sl&^nodeBit]
		e.slot(n.otherwise)
		e.place(n.then)
		e.usedNodes = append(e.usedNodes, n)
		*at = uint64(len(e.usedNodes))
	}
	return 2*(*at-1) + 1
}

func (e *encoder) place(id targetID) uint64 {
	if e.targets[id] == 0 {
		e.usedTargets = append(e.usedTargets, id)
		e.targets[id] = uint64(len(e.usedTargets))
	}
	return e.targets[id]
}
