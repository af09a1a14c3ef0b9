package ruleset

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// UnmarshalBinary makes s the set that MarshalBinary wrote to b. The error is ErrDamaged, and leaves s as it was. It
// takes memory in proportion to the length of b, whatever is in it.
func (s *Set) UnmarshalBinary(b []byte) error {
	end := len(b) - crc32.Size
	if end < len(magic) || string(b[:len(magic)]) != magic ||
		crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return ErrDamaged
	}
	d := decoder{in: b[len(magic):end], set: &Set{}}
	d.targets()
	d.nodes()
	d.names(d.rows())
	d.prefixes()
	d.set.def = d.slot()
	d.set.rules += d.rulesIn(d.set.def)
	if d.bad || len(d.in) > 0 {
		return ErrDamaged
	}
	*s = *d.set
	return nil
}

// decoder reads what is left of a binary form. Once that is bad, only zeros are read.
type decoder struct {
	in      []byte
	bad     bool
	set     *Set
	lengths []int // of the nodes: how many rules
}

func (d *decoder) fail() { d.bad, d.in = true, nil }

// check fails unless ok, and tells whether all was well so far.
func (d *decoder) check(ok bool) bool {
	if !ok {
		d.fail()
	}
	return !d.bad
}

func (d *decoder) number() uint64 {
	if len(d.in) > 0 && d.in[0] < 0x80 {
		n := uint64(d.in[0])
		d.in = d.in[1:]
		return n
	}
	n, width := binary.Uvarint(d.in)
	if !d.check(width > 0) {
		return 0
	}
	d.in = d.in[width:]
	return n
}

// count reads how many follow of what takes size bytes at least.
func (d *decoder) count(size int) int {
	n := d.number()
	if !d.check(n <= uint64(len(d.in)/size)) {
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(n uint64) []byte {
	if !d.check(n <= uint64(len(d.in))) {
		return nil
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b
}

func (d *decoder) text() []byte { return d.bytes(d.number()) }

// place reads the place of a target.
func (d *decoder) place() targetID {
	n := d.number()
	if !d.check(n < uint64(len(d.set.targets))) {
		return 0
	}
	return targetID(n + 1)
}

func (d *decoder) slot() slot {
	n := d.number()
	switch {
	case n == 0:
	case n&1 != 0 && d.check(n/2 < uint64(len(d.set.nodes))):
		return nodeBit | slot(n/2)
	case n&1 == 0 && d.check(n/2 <= uint64(len(d.set.targets))):
		return slot(n / 2)
	}
	return 0
}

// rulesIn is how many rules a slot has.
func (d *decoder) rulesIn(sl slot) int {
	switch {
	case sl == 0:
		return 0
	case sl&nodeBit == 0:
		return 1
	}
	return d.lengths[sl&^nodeBit]
}

func (d *decoder) targets() {
	for range d.count(1) {
		text, before := string(d.text()), len(d.set.targets)
		t, err := ParseTarget(text)
		if !d.check(err == nil && t.String() == text) {
			return
		}
		d.set.intern(t)
		if !d.check(len(d.set.targets) > before) {
			return
		}
	}
}

func (d *decoder) nodes() {
	for range d.count(4) {
		var n node
		if user := d.number(); user > 0 {
			n.cond.User, n.cond.UID = true, uint32(user-1)
			d.check(user <= noUID)
		}
		if path := string(d.text()); path != "" {
			cgroup, reason := parseCgroup(path)
			d.check(reason == "" && cgroup == path)
			n.cond.Cgroup = path
		}
		n.then, n.otherwise = d.place(), d.slot()
		if next := n.otherwise; next&nodeBit != 0 {
			d.check(n.cond.compare(d.set.nodes[next&^nodeBit].cond) < 0)
		}
		before := len(d.set.nodes)
		if !d.check(n.cond != (Condition{}) && d.set.conditions(n.otherwise) < MaxChoices) {
			return
		}
		d.lengths = append(d.lengths, 1+d.rulesIn(n.otherwise))
		d.set.makeNode(n)
		if !d.check(len(d.set.nodes) > before) {
			return
		}
	}
}

// row is what the slots of a name may be.
type row struct {
	at    slots
	rules int
}

func (d *decoder) rows() []row {
	rows := make([]row, d.count(3))
	for i := range rows {
		for k := range rows[i].at {
			rows[i].at[k] = d.slot()
			rows[i].rules += d.rulesIn(rows[i].at[k])
		}
		if !d.check(rows[i].rules > 0) {
			return nil
		}
	}
	return rows
}

func (d *decoder) names(rows []row) {
	n := &d.set.names
	count := d.count(3)
	n.grow(count)
	var key, before []byte
	for i := range count {
		common := d.number()
		if !d.check(common <= uint64(len(before)) && (common == 0 || i%blockSize != 0)) {
			return
		}
		key = append(append(key[:0], before[:common]...), d.text()...)
		place := d.number()
		if !d.check(place < uint64(len(rows)) && pattern.ValidSortKey(key) && bytes.Compare(before, key) < 0) {
			return
		}
		at := n.keys.add(key)
		before = n.keys.get(at)
		n.list = append(n.list, entry{at, rows[place].at})
		d.set.rules += rows[place].rules
	}
	n.sorted, n.rules = count, count
}

func (d *decoder) prefixes() {
	count := d.count(7)
	if count > 0 {
		d.set.prefixes = make(map[netip.Prefix]slot, count)
	}
	var before netip.Prefix
	for i := range count {
		p := d.prefix()
		sl := d.slot()
		if !d.check(p.IsValid() && p == p.Masked() && !p.Addr().Is4In6() && sl != 0 && (i == 0 || comparePrefixes(before, p) < 0)) {
			return
		}
		d.set.prefixes[p] = sl
		d.set.rules += d.rulesIn(sl)
		before = p
	}
}

// prefix reads a prefix, invalid where the bytes are.
func (d *decoder) prefix() netip.Prefix {
	size := 16
	family := d.number()
	if family == 4 {
		size = 4
	}
	addr, ok := netip.AddrFromSlice(d.bytes(uint64(size)))
	bits := d.number()
	if !ok || family != 4 && family != 6 || bits > 128 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, int(bits))
}
