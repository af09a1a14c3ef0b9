package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/dchest/siphash"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// The second opinion on a verdict. What follows knows no rules: it walks the maps of the slot in force as the programs
// do, by hashes and numbers, and shares no code with the matcher, so that either finds out the other.

// Live is what the maps in the kernel come to.
type Live struct {
	Ruled  bool // some rule decides
	By     By
	Target ruleset.Target
	Stale  []pattern.Name // learnt names whose match, kept with them, is another one than the maps give; empty texts left out
}

// liveMaps are the maps of the rule set in force.
type liveMaps struct {
	s                        *System
	rules, prefixes, choices *ebpf.Map // nil: it has none
	key                      [2]uint64
	uid                      uint32
	cgroup                   []string // the components of the cgroup's path
	meta                     learnRuleset
	targets                  *ebpf.Map
	generation               uint32
	stale                    []pattern.Name
	seen                     uint64
	number                   uint32
}

func (s *System) openLive(who ruleset.Who) (*liveMaps, error) {
	m := &liveMaps{
		s: s, key: s.state.Key, uid: who.UID, cgroup: strings.Split(strings.Trim(who.Cgroup, "/"), "/"),
		targets: s.maps[learnMapTargets], generation: s.generation(),
	}
	var err error
	if m.meta, err = s.meta(); err != nil {
		return nil, err
	}
	for name, to := range map[string]**ebpf.Map{learnMapRules: &m.rules, learnMapAddresses: &m.prefixes, learnMapChoices: &m.choices} {
		if *to, err = s.inner(name); err != nil {
			m.close()
			return nil, err
		}
	}
	return m, nil
}

func (m *liveMaps) close() {
	for _, one := range []*ebpf.Map{m.rules, m.prefixes, m.choices} {
		if one != nil {
			one.Close()
		}
	}
}

// live judges an address by the maps.
func (j *Judge) live(pid, uid uint32, to netip.Addr) (Live, error) {
	m, err := j.s.openLive(j.who(pid, uid))
	if err != nil {
		return Live{}, err
	}
	defer m.close()
	if j.hints.has(to.As16()) {
		for a := range askings(pid, uid, to) {
			counts, err := m.ask(a)
			if err != nil {
				return Live{}, err
			}
			if counts {
				break
			}
		}
	}
	return m.judge(to)
}

// judge is what an address comes to, where the names' part is in already.
func (m *liveMaps) judge(to netip.Addr) (l Live, err error) {
	l.Stale = m.stale
	steps := []struct {
		by  By
		ref func() (uint32, error)
	}{
		{ByName, func() (uint32, error) { return m.number, nil }},
		{ByAddress, func() (uint32, error) { return m.ofAddress(to) }},
		{ByDefault, func() (uint32, error) {
			if to.IsPrivate() {
				return 0, nil
			}
			return m.meta.DefaultRef, nil
		}},
	}
	for _, step := range steps {
		ref, err := step.ref()
		if err != nil {
			return l, err
		}
		if l.Ruled, l.Target, err = m.leads(ref); err != nil || l.Ruled {
			l.By = step.by
			return l, err
		}
	}
	return l, nil
}

// LiveName is where the maps in the kernel lead a name.
func (j *Judge) LiveName(n pattern.Name, pid, uid uint32) (Live, error) {
	m, err := j.s.openLive(j.who(pid, uid))
	if err != nil {
		return Live{}, err
	}
	defer m.close()
	_, ref, err := m.walk(n)
	if err != nil {
		return Live{}, err
	}
	l := Live{}
	if l.Ruled, l.Target, err = m.leads(ref); l.Ruled {
		l.By = ByName
	}
	return l, err
}

// ask takes in what one scope says, and tells whether a name of it counts.
func (m *liveMaps) ask(a asking) (counts bool, err error) {
	now := bootTime()
	for _, from := range a.from {
		set, err := readSet(m.s.maps[from], a.scope)
		if err != nil {
			return false, err
		}
		for _, l := range set.Names {
			if l.Name == 0 || now > l.Ends+uint64(grace) {
				continue
			}
			counts = true
			number, err := m.current(l)
			if err != nil {
				return false, err
			}
			if number != 0 && l.Seen >= m.seen {
				m.number, m.seen = number, l.Seen
			}
		}
	}
	return counts, nil
}

// current is the number that connect takes for a learnt name: as it is kept with it if that is of the rule set in force.
func (m *liveMaps) current(l learnLearnt) (uint32, error) {
	name, err := m.s.nameOf(l.Name)
	if err != nil {
		return 0, err
	}
	hash, ref, err := m.walk(name)
	if err != nil {
		return 0, err
	}
	if name == "" || hash != l.Name {
		if ref, err = m.ofRule(l.Rule, l.Name == l.Rule); err != nil {
			return 0, err
		}
	}
	number, err := m.resolve(ref)
	if err != nil || uint32(l.Match>>32) != m.generation {
		return number, err
	}
	kept, err := m.resolve(refIn(l.Match))
	if err == nil && kept != number && name != "" {
		m.stale = append(m.stale, name)
	}
	return kept, err
}

// walk goes from a name's last label to its first, and returns its hash and where the longest suffix with an entry leads.
func (m *liveMaps) walk(n pattern.Name) (hash uint64, ref uint32, err error) {
	labels := n.Labels()
	for i := len(labels) - 1; i >= 0; i-- {
		text := binary.LittleEndian.AppendUint64(nil, hash)
		if hash = siphash.Hash(m.key[0], m.key[1], append(text, labels[i]...)); hash == 0 {
			hash = 1
		}
		at, err := m.ofRule(hash, i == 0)
		if err != nil {
			return 0, 0, err
		}
		if at != 0 {
			ref = at
		}
	}
	return hash, ref, nil
}

// ofRule is where the entry of a suffix leads: the name that is the suffix, or those below.
func (m *liveMaps) ofRule(hash uint64, whole bool) (uint32, error) {
	if m.rules == nil || hash == 0 {
		return 0, nil
	}
	raw, err := m.rules.LookupBytes(hash)
	if err != nil {
		return 0, fmt.Errorf("walk the rules in force: %w", err)
	}
	switch {
	case len(raw) < 8:
		return 0, nil
	case whole:
		return binary.NativeEndian.Uint32(raw), nil
	}
	return binary.NativeEndian.Uint32(raw[4:]), nil
}

// ofAddress is where the longest prefix leads.
func (m *liveMaps) ofAddress(to netip.Addr) (uint32, error) {
	if m.prefixes == nil {
		return 0, nil
	}
	full := to.As16()
	raw, err := m.prefixes.LookupBytes(append(binary.NativeEndian.AppendUint32(nil, 128), full[:]...))
	if err != nil {
		return 0, fmt.Errorf("walk the addresses in force: %w", err)
	}
	if len(raw) < 4 {
		return 0, nil
	}
	return binary.NativeEndian.Uint32(raw), nil
}

// resolve follows a ref through the conditions to a target's number, 0 for none.
func (m *liveMaps) resolve(ref uint32) (uint32, error) {
	const choiceBit = 1 << 31
	for tried := 0; ; tried++ {
		if ref&choiceBit == 0 {
			return ref, nil
		}
		if tried == ruleset.MaxChoices || m.choices == nil {
			return 0, nil
		}
		raw, err := m.choices.LookupBytes(ref &^ choiceBit)
		if err != nil {
			return 0, fmt.Errorf("walk the conditions in force: %w", err)
		}
		if len(raw) < 28 {
			return 0, nil
		}
		word := func(at int) uint32 { return binary.NativeEndian.Uint32(raw[at:]) }
		if m.holds(word(0), word(4), binary.NativeEndian.Uint64(raw[8:]), int(word(16))) {
			ref = word(20)
		} else {
			ref = word(24)
		}
	}
}

// holds tells whether a condition holds: flags, user, hash of the cgroup's path, and of how many components that is.
func (m *liveMaps) holds(flags, uid uint32, cgroup uint64, depth int) bool {
	if flags&1 != 0 && uid != m.uid {
		return false
	}
	if flags&2 == 0 {
		return true
	}
	if depth > len(m.cgroup) {
		return false
	}
	hash := uint64(0)
	for _, c := range m.cgroup[:depth] {
		hash = siphash.Hash(m.key[0], m.key[1], append(binary.LittleEndian.AppendUint64(nil, hash), c...))
	}
	return hash == cgroup
}

// leads is the target that a ref comes to.
func (m *liveMaps) leads(ref uint32) (ruled bool, t ruleset.Target, err error) {
	number, err := m.resolve(ref)
	if err != nil || number == 0 {
		return false, t, err
	}
	var raw learnTarget
	if err := m.targets.Lookup(number, &raw); err != nil {
		return false, t, fmt.Errorf("look at target %d: %w", number, err)
	}
	return raw.Kind != 0, target(raw), nil
}

// disagreements says where the maps come to something else than the rules.
func (e *Explanation) disagreements(unhinted bool) []string {
	var all []string
	ruled := e.By != ByNone || e.Target != ruleset.Target{}
	if ruled != e.Live.Ruled || e.Target != e.Live.Target {
		all = append(all, fmt.Sprintf("%v: the rules say %s, the kernel's maps %s", e.Address,
			sayTarget(ruled, e.Target), sayTarget(e.Live.Ruled, e.Live.Target)))
	}
	if unhinted {
		all = append(all, fmt.Sprintf("%v: a name with a rule was learnt for it, but connect does not look: its bit among the hints is not set", e.Address))
	}
	for _, n := range e.Live.Stale {
		all = append(all, fmt.Sprintf("%v: what was kept with the learnt name %v is not what its rule says", e.Address, n))
	}
	return all
}

func sayTarget(ruled bool, t ruleset.Target) string {
	if !ruled {
		return "nothing"
	}
	return t.String()
}
