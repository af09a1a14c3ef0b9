package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// Standing is a learnt name and its part in what its level says of the address.
type Standing struct {
	Learnt
	Ruled     bool           // it has a rule of its own: one for names
	Otherwise bool           // it has none and decides, and there is a rule for the address, or the default
	Target    ruleset.Target // the rule's, of either kind
	Pattern   string         // the rule's; empty where the name's text was evicted: the kernel knows the target still

	// The rule is that for whom the name counts: for a process as it is now; for a user as if he was in no cgroup; for the
	// host as if it was nobody. Others may get another rule's target.
	Condition   string // the rule's; empty: none
	Conditional bool   // it has one, or none holds, but there are rules for the name

	// What connect does for those whom the level counts for, unless a level before it has a live name. Without a rule of
	// either kind that is to leave the connection alone.
	Decides  bool
	Conflict bool // the live names there have different targets, or some have none

	// Connections to the address are left alone whatever the rules: it is the host's own.
	Alone bool

	// The process that it counts for has ended. What cgroup it was in is not known: rules for cgroups are left out.
	Gone bool
}

// Standings reads the learnt names, in the order of Learnt, and judges them as bpf/evidence.h does: of the live names
// at a level one with a rule beats one without, and then the latest wins.
func (s *System) Standings() ([]Standing, error) {
	learnt, err := s.Learnt()
	if err != nil {
		return nil, err
	}
	judge, err := s.Judge(nil)
	if err != nil {
		return nil, err
	}
	defer judge.Close()
	all := make([]Standing, len(learnt))
	ended := map[uint32]bool{}
	for i, l := range learnt {
		all[i].Learnt = l
		all[i].Gone = l.Level == LevelProcess && hasEnded(l.PID, ended)
		if l.Name == "" {
			all[i].Target, all[i].Ruled, err = judge.targetOf(learnLearnt{Name: l.hash, Match: l.match, Rule: l.rule}, judge.whose(l))
			if err != nil {
				return nil, err
			}
			continue
		}
		if r, ok := judge.set.MatchName(l.Name, judge.whose(l)); ok {
			all[i].Ruled, all[i].Target, all[i].Pattern = true, r.Target, r.Pattern.String()
			all[i].Condition, all[i].Conditional = r.Condition.String(), r.Condition != ruleset.Condition{}
		} else {
			all[i].Conditional = judge.set.Mentions(l.Name)
		}
	}
	markDeciding(all)
	for i := range all {
		if all[i].Alone, err = s.LeavesAlone(all[i].Address); err != nil {
			return nil, err
		}
		judge.byAddress(&all[i])
	}
	return all, nil
}

// hasEnded tells whether there is no such process any more. What was found is kept in known.
func hasEnded(pid uint32, known map[uint32]bool) bool {
	ended, asked := known[pid]
	if !asked {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		ended = errors.Is(err, fs.ErrNotExist)
		known[pid] = ended
	}
	return ended
}

// byAddress fills in the rule that there is for the address where the name that decides has none.
func (j *Judge) byAddress(n *Standing) {
	if n.Ruled || !n.Decides || n.Alone {
		return
	}
	r, ok := j.unnamed(n.Address, j.whose(n.Learnt))
	if ok {
		n.Otherwise, n.Target, n.Pattern = true, r.Target, r.Pattern.String()
		n.Condition, n.Conditional = r.Condition.String(), n.Conditional || r.Condition != ruleset.Condition{}
	}
}

// unnamed is the rule for an address that no name with a rule decides for: one of addresses, or the default, which is not
// for private ones.
func (j *Judge) unnamed(to netip.Addr, who ruleset.Who) (ruleset.Rule, bool) {
	r, ok := j.set.MatchAddr(to, who)
	if !ok && !to.Unmap().IsPrivate() {
		return j.set.Default(who)
	}
	return r, ok
}

// markDeciding sets Decides and Conflict.
func markDeciding(all []Standing) {
	scopes := map[Learnt][]*Standing{} // live ones
	for i := range all {
		if l := &all[i]; l.Live() {
			scopes[l.scope()] = append(scopes[l.scope()], l)
		}
	}
	for _, names := range scopes {
		deciding := names[0]
		conflict := false
		for _, n := range names[1:] {
			conflict = conflict || n.Ruled != names[0].Ruled || n.Target != names[0].Target
			if n.Ruled && !deciding.Ruled || n.Ruled == deciding.Ruled && n.Seen < deciding.Seen {
				deciding = n
			}
		}
		deciding.Decides = true
		for _, n := range names {
			n.Conflict = conflict
		}
	}
}
