package dataplane

import (
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// ExplainAsker says what a connect to an address would come to for a program of a user, in no cgroup that is known, that has
// just asked for a name and got that address. Its own level knows the address then, by that name alone, and decides
// before whatever others learnt. Asked stays empty: Explain tells it.
func (j *Judge) ExplainAsker(n pattern.Name, uid uint32, to netip.Addr) (Explanation, error) {
	to = to.Unmap().WithZone("")
	o := &opinion{who: j.who(0, uid), level: LevelProcess, live: true, names: []pattern.Name{n}}
	o.rule, o.ruled = j.set.MatchName(n, o.who)
	e := Explanation{Address: to, Hinted: o.ruled || j.planned || j.hints.has(to.As16())} // an answer to a name with a rule sets it
	var err error
	if e.Alone, err = j.s.alone(to); err != nil {
		return e, err
	}
	e.Verdict = j.verdict(o, to)
	if e.By = by(o, e.Verdict, j, to); e.By == ByName {
		e.Deciding = n
	}
	if j.planned {
		return e, nil
	}
	if e.Live, err = j.liveAsker(n, uid, to); err != nil {
		return e, err
	}
	e.Disagreements = e.disagreements(false)
	if e.Alone != "" {
		e.Place = Place{Outcome: Untouched}
	}
	return e, nil
}

// liveAsker judges an address by the maps, for who has just asked for a name.
func (j *Judge) liveAsker(n pattern.Name, uid uint32, to netip.Addr) (Live, error) {
	m, err := j.s.openLive(ruleset.Who{UID: uid})
	if err != nil {
		return Live{}, err
	}
	defer m.close()
	_, ref, err := m.walk(n)
	if err != nil {
		return Live{}, err
	}
	if m.number, err = m.resolve(ref); err != nil {
		return Live{}, err
	}
	return m.judge(to)
}
