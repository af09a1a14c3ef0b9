package dataplane

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/procs"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// hostUIDs is below which a user has no level of its own; HOST_UIDS in bpf/evidence.h.
const hostUIDs = 1000

// Ancestors is how many parents' evidence counts for a process; ANCESTORS in bpf/judge.h.
const Ancestors = 3

// An Outcome is what becomes of a socket.
type Outcome string

// The outcomes.
const (
	Steered     Outcome = "steered"
	Marked      Outcome = "marked"
	Untouched   Outcome = "direct"
	Blocked     Outcome = "blocked"
	NoInterface Outcome = "no_interface" // refused while none of the target's interfaces exists
)

// Place is where a socket leaves.
type Place struct {
	Outcome   Outcome
	Interface string // Steered
	Ifindex   int    // Steered
	Mark      uint32 // Marked
}

// Finder finds an interface's index by its name.
type Finder func(name string) (index int, exists bool)

// Resolve finds where a target leads with the interfaces there are now.
func Resolve(t ruleset.Target, find Finder) Place {
	for _, name := range t.Chain() {
		if index, ok := find(name); ok {
			return Place{Outcome: Steered, Interface: name, Ifindex: index}
		}
	}
	switch {
	case t.Kind == ruleset.Block:
		return Place{Outcome: Blocked}
	case t.Kind == ruleset.Mark:
		return Place{Outcome: Marked, Mark: t.Mark}
	case t.Kind == ruleset.Interface && t.End != ruleset.EndDirect:
		return Place{Outcome: NoInterface}
	}
	return Place{Outcome: Untouched}
}

// Verdict is what connect would do.
type Verdict struct {
	Place
	Rule      string         // the pattern of the rule that decides; empty: none, or that of a name whose text was evicted
	Condition string         // that rule's; empty: none
	Level     Level          // the level that decides; empty: none has a live name
	Names     []pattern.Name // the live ones at that level
	Target    ruleset.Target // that rule's; the zero value: none decides
}

// Judge says what connect would decide now: verdict_for and judge of bpf/verdict.h and bpf/judge.h in user space.
type Judge struct {
	s        *System
	set      *ruleset.Set
	planned  bool // set is not in force
	find     Finder
	hints    *hints
	patterns *ebpf.Map // of the rule set in force
	choices  *ebpf.Map // likewise; nil: it has none
	targets  map[uint32]ruleset.Target
	top      string            // where the cgroup that paths begin at is in /proc/PID/cgroup; empty: unknown
	cgroups  map[uint32]string // by pid, as they were when first asked for
}

// Judge judges by the rule set in force.
func (s *System) Judge(find Finder) (*Judge, error) {
	set, err := s.Rules()
	if err != nil {
		return nil, err
	}
	return s.newJudge(set, false, find)
}

// JudgeOf is Judge for who has read that rule set already.
func (s *System) JudgeOf(inForce *ruleset.Set, find Finder) (*Judge, error) {
	return s.newJudge(inForce, false, find)
}

// JudgePlanned judges by a rule set that is not in force, as if it were.
func (s *System) JudgePlanned(set *ruleset.Set, find Finder) (*Judge, error) {
	return s.newJudge(set, true, find)
}

func (s *System) newJudge(set *ruleset.Set, planned bool, find Finder) (*Judge, error) {
	j := &Judge{s: s, set: set, planned: planned, find: find, cgroups: map[uint32]string{}}
	var err error
	if j.targets, err = s.targets(); err != nil {
		return nil, err
	}
	j.patterns, err = s.inner(learnMapRules)
	if err == nil {
		j.choices, err = s.inner(learnMapChoices)
	}
	if err == nil {
		j.hints, err = s.mapHints()
	}
	if err == nil {
		j.top, err = findTop(s.state.TopId)
	}
	if err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

// Close gives back what a Judge holds.
func (j *Judge) Close() {
	if j.hints != nil {
		j.hints.close()
	}
	for _, m := range []*ebpf.Map{j.patterns, j.choices} {
		if m != nil {
			m.Close()
		}
	}
}

// LeavesAlone tells whether connections to an address are left alone whatever the rules: those to loopback,
// link-local, multicast, and the host's own.
func (s *System) LeavesAlone(to netip.Addr) (bool, error) {
	if addrIsLocal(to) {
		return true, nil
	}
	var value uint8
	err := s.maps[learnMapOwn].Lookup(to.As16(), &value)
	if err != nil && !isNotExist(err) {
		return false, fmt.Errorf("look for an own address: %w", err)
	}
	return err == nil, nil
}

// addrIsLocal is addr_is_local in bpf/addr.h.
func addrIsLocal(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is4() && (a.As4()[0] == 0 || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		return true
	}
	return a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast()
}

// Verdict says what a connect of a process (0: of none that is known) of a user to an address would come to.
func (j *Judge) Verdict(pid, uid uint32, to netip.Addr) (Verdict, error) {
	o := &opinion{who: j.who(pid, uid)}
	if err := j.judge(pid, uid, to, o); err != nil {
		return Verdict{}, err
	}
	if !j.planned && !j.hints.has(to.As16()) {
		o.ruled, o.rule = false, ruleset.Rule{} // connect does not look
	}
	return j.verdict(o, to), nil
}

// verdict is what an opinion comes to: the rule of the name that decides, or else that of the address.
func (j *Judge) verdict(o *opinion, to netip.Addr) Verdict {
	v := Verdict{Place: Place{Outcome: Untouched}, Level: o.level, Names: o.names}
	rule, known := o.rule, o.rule.Pattern != pattern.Pattern{}
	if !o.ruled {
		rule, known = j.unnamed(to, o.who)
	}
	if o.ruled || known {
		v.Place, v.Target = Resolve(rule.Target, j.find), rule.Target
	}
	if known {
		v.Rule, v.Condition = rule.Pattern.String(), rule.Condition.String()
	}
	return v
}

// opinion is what one level says of an address.
type opinion struct {
	who    ruleset.Who // who connects
	detail bool        // keep what was heard
	level  Level
	live   bool // any name counts
	names  []pattern.Name
	ruled  bool         // one of them has a rule
	rule   ruleset.Rule // without a pattern where the name's text was evicted
	seen   uint64       // of the deciding name
	heard  []heard
}

// heard is one name of a set, and what the rules say of it.
type heard struct {
	learnLearnt
	live  bool
	name  pattern.Name // empty: its text was evicted
	ruled bool
	rule  ruleset.Rule
}

// asking is one scope that connect asks, and where it is kept.
type asking struct {
	level Level
	scope learnScope
	from  []string
}

// askings yields whom connect asks, in turn: the process, its parents, the user, the host.
func askings(pid, uid uint32, to netip.Addr) iter.Seq[asking] {
	return func(yield func(asking) bool) {
		scope := learnScope{Pid: pid, Uid: uid, Addr: to.As16()}
		if pid != 0 {
			if !yield(asking{LevelProcess, scope, usersMaps}) {
				return
			}
			for _, parent := range procs.Parents(pid, Ancestors) {
				scope.Pid = parent
				if !yield(asking{LevelProcess, scope, usersMaps}) {
					return
				}
			}
		}
		scope.Pid = 0
		if uid >= hostUIDs && !yield(asking{LevelUser, scope, usersMaps}) {
			return
		}
		scope.Uid = 0
		yield(asking{LevelHost, scope, hostMaps})
	}
}

// hostMaps are what the host's evidence is in.
var hostMaps = []string{learnMapHostRuled, learnMapHostPlain}

// judge asks the levels in turn. The first with a live name decides.
func (j *Judge) judge(pid, uid uint32, to netip.Addr, o *opinion) error {
	for a := range askings(pid, uid, to) {
		o.level = a.level
		if err := j.consult(a, o); err != nil || o.live {
			return err
		}
	}
	o.level = ""
	return nil
}

// consult adds what the sets of names of one scope say: with a rule beats without, then the latest.
func (j *Judge) consult(a asking, o *opinion) error {
	now := bootTime()
	for _, name := range a.from {
		set, err := readSet(j.s.maps[name], a.scope)
		if err != nil {
			return err
		}
		for _, l := range set.Names {
			live := now <= l.Ends+uint64(grace)
			if l.Name == 0 || !live && !o.detail {
				continue
			}
			if err := j.add(l, live, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *Judge) add(l learnLearnt, live bool, o *opinion) error {
	name, err := j.s.nameOf(l.Name)
	if err != nil {
		return err
	}
	var rule ruleset.Rule
	ruled := false
	if name != "" {
		rule, ruled = j.set.MatchName(name, o.who)
	} else if rule.Target, ruled, err = j.targetOf(l, o.who); err != nil {
		return err
	}
	if o.detail {
		o.heard = append(o.heard, heard{l, live, name, ruled, rule})
	}
	if !live {
		return nil
	}
	o.live = true
	if name != "" {
		o.names = append(o.names, name)
	}
	if ruled && l.Seen >= o.seen {
		o.ruled, o.rule, o.seen = true, rule, l.Seen
	}
	return nil
}

// targetOf is the target of a learnt name whose text was evicted: as it was matched under the rule set in force,
// or what the rule that matched it before says now.
func (j *Judge) targetOf(l learnLearnt, who ruleset.Who) (ruleset.Target, bool, error) {
	ref := refIn(l.Match)
	if uint32(l.Match>>32) != j.s.generation() {
		var t suffixTargets
		if l.Rule != 0 && j.patterns != nil {
			err := j.patterns.Lookup(l.Rule, &t)
			if err != nil && !isNotExist(err) {
				return ruleset.Target{}, false, fmt.Errorf("look for a rule: %w", err)
			}
		}
		ref = t.Sub
		if l.Name == l.Rule {
			ref = t.Apex
		}
	}
	number, err := j.resolve(ref, who)
	t, ok := j.targets[number]
	return t, ok, err
}

// readSet reads a set of names, from between two writes where that can be had: two copies alike, and no writer at
// work. After so many tries as it comes, as connect does.
func readSet(m *ebpf.Map, scope learnScope) (learnLearntSet, error) {
	var set, before learnLearntSet
	for try := range 8 {
		err := m.Lookup(scope, &set)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return learnLearntSet{}, nil
		}
		if err != nil {
			return set, fmt.Errorf("look for learnt names: %w", err)
		}
		if try > 0 && set == before && set.Sequence&1 == 0 {
			break
		}
		before = set
	}
	return set, nil
}

// nameOf finds the text of a name by its hash; empty: it was evicted.
func (s *System) nameOf(hash uint64) (pattern.Name, error) {
	for _, from := range nameMaps {
		var raw learnName
		err := s.maps[from].Lookup(hash, &raw)
		if isNotExist(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look for a name: %w", err)
		}
		n, err := nameIn(&raw)
		if err == nil {
			return n, nil
		}
	}
	return "", nil
}

// has is hinted in bpf/addr.h.
func (h *hints) has(addr [16]byte) bool {
	bit := hintBit(addr, h.key)
	word := (*uint64)(unsafe.Pointer(&h.memory[bit>>6*8]))
	return atomic.LoadUint64(word)&(1<<(bit&63)) != 0
}
