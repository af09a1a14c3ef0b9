package dataplane

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Alone is why connections to an address are left alone whatever the rules; empty: they are not.
type Alone string

// The reasons.
const (
	AloneLocal Alone = "local" // loopback, link-local, multicast
	AloneOwn   Alone = "own"   // an address of this host
)

// By is which kind of rule decides.
type By string

// The kinds, in their order.
const (
	ByName    By = "name"
	ByAddress By = "address"
	ByDefault By = "default"
	ByNone    By = ""
)

// Explanation is what a connect to an address would come to now, for one process and user, and by what.
type Explanation struct {
	Address netip.Addr
	Verdict
	By       By
	Deciding pattern.Name // ByName; empty: its text was evicted
	Alone    Alone
	Hinted   bool    // connect looks for names of the address at all
	Asked    []Asked // everybody who is asked, in turn, also those behind the one that decides

	// What the maps that the programs work with come to, walked by other code, and where that is something else.
	Live          Live
	Disagreements []string
}

// Asked is one of those whose learnt names count for a connect.
type Asked struct {
	Level   Level
	PID     uint32 // LevelProcess: the process itself, or a parent
	UID     uint32 // LevelProcess and LevelUser
	Names   []Heard
	Decides bool // the first with a live name
	Mixed   bool // its live names lead to different targets
}

// Heard is a name that one of them learnt for the address.
type Heard struct {
	Name    pattern.Name  // empty: its text was evicted
	TTL     time.Duration // left; negative once it is over
	Seen    time.Duration // since the latest answer
	Live    bool          // it counts: its TTL is over for an hour at most
	Ruled   bool
	Rule    ruleset.Rule // without a pattern where the text was evicted
	Decides bool         // at its level
}

// explainTries is how often maps are read again that seem to disagree: names are learnt meanwhile.
const explainTries = 3

// Explain says what a connect of a process (0: of none that is known) of a user to an address would come to, and why.
func (j *Judge) Explain(pid, uid uint32, to netip.Addr) (e Explanation, err error) {
	for range explainTries {
		e, err = j.explain(pid, uid, to)
		if err != nil || len(e.Disagreements) == 0 {
			break
		}
	}
	return e, err
}

func (j *Judge) explain(pid, uid uint32, to netip.Addr) (Explanation, error) {
	to = to.Unmap().WithZone("")
	e := Explanation{Address: to, Hinted: j.planned || j.hints.has(to.As16())}
	who := j.who(pid, uid)
	var err error
	if e.Alone, err = j.s.alone(to); err != nil {
		return e, err
	}
	deciding := &opinion{who: who}
	unhinted := false
	for a := range askings(pid, uid, to) {
		o := &opinion{who: who, detail: true, level: a.level}
		if err := j.consult(a, o); err != nil {
			return e, err
		}
		asked := Asked{Level: a.level, PID: a.scope.Pid, UID: a.scope.Uid, Names: heardNames(o), Mixed: mixed(o)}
		if o.live && deciding.level == "" {
			asked.Decides = true
			deciding = o
			unhinted = !e.Hinted && o.ruled
		}
		e.Asked = append(e.Asked, asked)
	}
	e.Deciding = decidingName(deciding)
	if !e.Hinted {
		deciding.ruled, deciding.rule = false, ruleset.Rule{} // connect does not look
	}
	e.Verdict = j.verdict(deciding, to)
	e.By = by(deciding, e.Verdict, j, to)
	if e.By != ByName {
		e.Deciding = ""
	}
	if j.planned {
		return e, nil
	}
	if e.Live, err = j.live(pid, uid, to); err != nil {
		return e, err
	}
	e.Disagreements = e.disagreements(unhinted)
	if e.Alone != "" {
		e.Place = Place{Outcome: Untouched}
	}
	return e, nil
}

// by tells which kind of rule a verdict comes from.
func by(o *opinion, v Verdict, j *Judge, to netip.Addr) By {
	switch {
	case o.ruled:
		return ByName
	case v.Rule == "":
		return ByNone
	}
	if _, ok := j.set.MatchAddr(to, o.who); ok {
		return ByAddress
	}
	return ByDefault
}

// alone tells why connections to an address are left alone whatever the rules.
func (s *System) alone(to netip.Addr) (Alone, error) {
	if addrIsLocal(to) {
		return AloneLocal, nil
	}
	if alone, err := s.LeavesAlone(to); err != nil || !alone {
		return "", err
	}
	return AloneOwn, nil
}

// heardNames are the names of an opinion, those that count first, the latest first.
func heardNames(o *opinion) []Heard {
	now := bootTime()
	var all []Heard
	best := -1
	slices.SortStableFunc(o.heard, func(a, b heard) int {
		switch {
		case a.live != b.live && a.live, a.live == b.live && a.Seen > b.Seen:
			return -1
		case a.live == b.live && a.Seen == b.Seen:
			return 0
		}
		return 1
	})
	// From before and after a rule change a name can be there twice: the later counts.
	there := map[uint64]bool{}
	o.heard = slices.DeleteFunc(o.heard, func(h heard) bool {
		twice := there[h.Name]
		there[h.Name] = true
		return twice
	})
	for i, h := range o.heard {
		all = append(all, Heard{
			Name: h.name, TTL: time.Duration(int64(h.Ends - now)), Seen: time.Duration(int64(now - h.Seen)),
			Live: h.live, Ruled: h.ruled, Rule: h.rule,
		})
		if h.live && (best < 0 || h.ruled && !o.heard[best].ruled) {
			best = i
		}
	}
	if best >= 0 {
		all[best].Decides = true
	}
	return all
}

// decidingName is the name by which an opinion has its rule.
func decidingName(o *opinion) pattern.Name {
	for _, h := range o.heard {
		if h.live && h.ruled && h.Seen == o.seen && h.rule == o.rule {
			return h.name
		}
	}
	return ""
}

// mixed tells whether live names lead to different targets; without a rule is one of its own.
func mixed(o *opinion) bool {
	var first *heard
	for i := range o.heard {
		h := &o.heard[i]
		if !h.live {
			continue
		}
		if first == nil {
			first = h
		}
		if h.ruled != first.ruled || h.rule.Target != first.rule.Target {
			return true
		}
	}
	return false
}

// LearntOf reads for whom which addresses were learnt under exactly this name, by address, level and age.
func (s *System) LearntOf(n pattern.Name) ([]Learnt, error) {
	hash := s.key().Hash(n)
	now := bootTime()
	var all []Learnt
	for _, from := range evidenceMaps {
		err := s.eachLearnt(from, func(scope learnScope, raw learnLearnt) {
			if raw.Name != hash {
				return
			}
			l := Learnt{
				Address: netip.AddrFrom16(scope.Addr).Unmap(), Name: n, Level: level(scope, from), PID: scope.Pid, UID: scope.Uid,
				TTL: time.Duration(int64(raw.Ends - now)), Seen: time.Duration(int64(now - raw.Seen)),
				hash: raw.Name, rule: raw.Rule, match: raw.Match,
			}
			// From before and after a rule change there may be two: the later counts.
			at := slices.IndexFunc(all, func(other Learnt) bool { return other.place() == l.place() })
			switch {
			case at < 0:
				all = append(all, l)
			case l.Seen < all[at].Seen:
				all[at] = l
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Learnt) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(levelOrder(a.Level), levelOrder(b.Level)), cmp.Compare(a.Seen, b.Seen))
	})
	return all, nil
}
