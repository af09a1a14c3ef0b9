package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/procs"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostExplained is how many addresses of a name are judged.
const mostExplained = 256

// way is a rule that is for what was asked, whether it holds or not.
type way struct {
	ruleset.Candidate
	decides bool
}

// read asks the system, while its lock is held.
func (e *explainer) read(s *dataplane.System) error {
	if !s.AtHome() {
		return usageError{errors.New("interfaces mean something only in the network namespace that start ran in; run it there")}
	}
	r := e.result
	r.Started, r.Generation = true, s.Generation()
	set, err := s.Rules()
	if err != nil {
		return err
	}
	judge, err := s.JudgeOf(set, e.devices.find)
	if err != nil {
		return err
	}
	defer judge.Close()
	if err := e.lookAtProcess(judge); err != nil {
		return err
	}
	who := ruleset.Who{UID: r.For.UID, Cgroup: r.For.Cgroup}
	e.prefixes = set.HasPrefixes()
	addrs := []netip.Addr{e.subject.addr}
	if e.subject.name != "" {
		if addrs, err = e.learnt(s); err != nil {
			return err
		}
		if err := e.compareName(judge, set, who); err != nil {
			return err
		}
	}
	for _, a := range addrs {
		if err := e.address(judge, a); err != nil {
			return err
		}
	}
	e.candidates(set, who)
	return e.leak(s)
}

// lookAtProcess fills in what is known of the process, and whether its connections are seen.
func (e *explainer) lookAtProcess(judge *dataplane.Judge) (err error) {
	who := &e.result.For
	if who.PID == 0 || who.Comm == ended && !exists(who.PID) {
		who.Reach, who.Within = judge.ReachesAny()
		return nil
	}
	who.Cgroup = judge.Cgroup(who.PID)
	for _, pid := range procs.Parents(who.PID, dataplane.Ancestors) {
		p, err := procs.Of(pid)
		if err == nil && p.UID == who.UID {
			who.Parents = append(who.Parents, explainParent{pid, p.Comm})
		}
	}
	who.Reach, err = judge.Reaches(who.PID)
	if errors.Is(err, os.ErrNotExist) {
		return usageError{fmt.Errorf("process %d has ended meanwhile", who.PID)}
	}
	return err
}

func exists(pid uint32) bool {
	_, err := procs.Of(pid)
	return err == nil
}

// learnt finds the addresses of the name, and for whom it counts otherwise.
func (e *explainer) learnt(s *dataplane.System) ([]netip.Addr, error) {
	all, err := s.LearntOf(e.subject.name)
	if err != nil {
		return nil, err
	}
	var addrs, others []netip.Addr // those that the answer is about go first
	there := map[netip.Addr]bool{}
	for _, l := range all {
		if counts := e.counts(l); l.Live() && counts && !there[l.Address] {
			there[l.Address] = true
			addrs = append(addrs, l.Address)
		} else if l.Live() && !counts {
			e.result.Elsewhere = append(e.result.Elsewhere, explainElsewhere{l.Address, l.Level, l.PID, l.UID})
		}
	}
	if len(addrs) > mostExplained {
		e.note("%d addresses count, the first %d were looked at", len(addrs), mostExplained)
		return addrs[:mostExplained], nil
	}
	for _, l := range all {
		if !there[l.Address] {
			there[l.Address] = true
			others = append(others, l.Address)
		}
	}
	return append(addrs, others[:min(len(others), mostExplained-len(addrs))]...), nil
}

// counts tells whether a name was learnt by somebody whose word counts for whom it is explained.
func (e *explainer) counts(l dataplane.Learnt) bool {
	who := e.result.For
	switch l.Level {
	case dataplane.LevelProcess:
		return l.UID == who.UID && l.PID != 0 && (l.PID == who.PID ||
			slices.ContainsFunc(who.Parents, func(p explainParent) bool { return p.PID == l.PID }))
	case dataplane.LevelUser:
		return l.UID == who.UID
	}
	return true
}

// compareName has the rules and the kernel's maps judge the name itself.
func (e *explainer) compareName(judge *dataplane.Judge, set *ruleset.Set, who ruleset.Who) error {
	live, err := judge.LiveName(e.subject.name, e.result.For.PID, e.result.For.UID)
	if err != nil {
		return err
	}
	rule, ok := set.MatchName(e.subject.name, who)
	if ok != live.Ruled || rule.Target != live.Target {
		said := func(ruled bool, t ruleset.Target) string {
			if !ruled {
				return "nothing"
			}
			return t.String()
		}
		e.result.Disagreements = append(e.result.Disagreements,
			fmt.Sprintf("%v: the rules say %s, the kernel's maps %s", e.subject.name, said(ok, rule.Target), said(live.Ruled, live.Target)))
	}
	return nil
}

// address has one address explained.
func (e *explainer) address(judge *dataplane.Judge, to netip.Addr) error {
	who := e.result.For
	x, err := judge.Explain(who.PID, who.UID, to)
	if err != nil {
		return err
	}
	unasked := x
	if e.result.Asks {
		if x, err = judge.ExplainAsker(e.subject.name, who.UID, to); err != nil {
			return err
		}
	}
	row := explainAddress{
		Address: to, Alone: x.Alone, By: x.By, Name: nameText(x.Deciding), Rule: x.Rule, Condition: x.Condition,
		Level: x.Level, Hinted: x.Hinted, Names: []explainName{}, explained: x,
	}
	if x.By != dataplane.ByNone {
		row.Target = x.Target.String()
	}
	if x.Live.Ruled {
		row.Kernel = x.Live.Target.String()
	}
	row.Place = placeOf(e.place(x))
	for _, d := range slices.Concat(x.Disagreements, unasked.Disagreements) {
		if !slices.Contains(e.result.Disagreements, d) {
			e.result.Disagreements = append(e.result.Disagreements, d)
		}
	}
	e.names(&row, unasked.Asked)
	if e.result.Asks {
		e.unasked(&row, unasked)
	}
	e.result.Addresses = append(e.result.Addresses, row)
	return nil
}

// names fills in what was learnt for an address.
func (e *explainer) names(row *explainAddress, all []dataplane.Asked) {
	decided := false
	for _, asked := range all {
		for _, h := range asked.Names {
			row.Names = append(row.Names, heardRow(asked, h, !decided))
			row.Counts = row.Counts || h.Live && h.Name == e.subject.name && h.Name != ""
		}
		decided = decided || asked.Decides
	}
	row.Counts = row.Counts || e.subject.name == ""
}

// place is what becomes of a connect: packets go where the kernel sends them.
func (e *explainer) place(x dataplane.Explanation) dataplane.Place {
	left := dataplane.Place{Outcome: dataplane.Untouched}
	switch {
	case e.result.unseen() != "":
		return left
	case len(x.Disagreements) == 0 || x.Alone != "":
		return x.Place
	case !x.Live.Ruled:
		return left
	}
	return dataplane.Resolve(x.Live.Target, e.devices.find)
}

func heardRow(asked dataplane.Asked, h dataplane.Heard, gotTo bool) explainName {
	n := explainName{
		Name: nameText(h.Name), Level: asked.Level, PID: asked.PID, UID: asked.UID, Age: int(h.Seen / time.Second), TTL: int(h.TTL / time.Second),
		Live: h.Live, Decides: asked.Decides && h.Decides, Conflict: asked.Mixed && h.Live, Asked: gotTo, age: h.Seen, ttl: h.TTL,
	}
	if h.Ruled {
		n.Target = h.Rule.Target.String()
		if h.Name != "" {
			n.Rule = strings.TrimSuffix(h.Rule.Pattern.String()+" "+h.Rule.Condition.String(), " ")
		}
	}
	return n
}

// candidates collects the rules that are for the name, or the names that decide, for the addresses, and for the rest.
func (e *explainer) candidates(set *ruleset.Set, who ruleset.Who) {
	var all []ruleset.Candidate
	add := func(more []ruleset.Candidate) {
		for _, c := range more {
			if !slices.Contains(all, c) {
				all = append(all, c)
			}
		}
	}
	if e.subject.name != "" {
		add(set.Candidates(e.subject.name, who))
	}
	counting := e.result.counting()
	for _, a := range counting {
		if a.explained.Deciding != "" {
			add(set.Candidates(a.explained.Deciding, who))
		}
	}
	for _, a := range counting {
		add(set.CandidatesAddr(a.Address, who))
	}
	add(set.CandidatesDefault(who))
	e.ways = deciding(all, counting, e.result.unseen() != "")
}

// deciding tells which of the rules decide for the addresses; where there is none yet, the first that holds will.
func deciding(all []ruleset.Candidate, addrs []explainAddress, unseen bool) (ways []way) {
	decided := len(addrs) > 0 || unseen
	for _, c := range all {
		w := way{c, !decided && c.Holds()}
		decided = decided || w.decides
		for _, a := range addrs {
			w.decides = w.decides || !unseen && a.Alone == "" && a.Rule == c.Pattern.String() && a.Condition == c.Condition.String()
		}
		ways = append(ways, w)
	}
	return ways
}

// leak finds the latest connection to the name, or the address, that the audit saw go unsteered.
func (e *explainer) leak(s *dataplane.System) error {
	leaks, err := s.Leaks()
	if err != nil {
		return err
	}
	for _, l := range leaks {
		if e.subject.name != "" && l.Name == e.subject.name || e.subject.name == "" && l.Address == e.subject.addr {
			e.result.Leak = &explainLeak{l.When, nameText(l.Name), l.Address, l.Port, l.PID, l.UID, l.Comm}
			break
		}
	}
	return nil
}
