package dataplane

// LearntCount sums up the learnt names that still count.
type LearntCount struct {
	Addresses int           // those that have any
	Names     map[Level]int // by whom they count for; one of an address and a process counts once
	// Places are an address and whom its names count for. Conflicts are those whose names lead elsewhere than each
	// other, as of when each was last looked up.
	Places, Conflicts int
}

// lead is where a name led when it was last matched.
type lead struct {
	ruled bool
	ref   uint32
}

// learntPlace has, by their hashes, the names of one address that count for one scope.
type learntPlace map[uint64]struct {
	seen uint64
	lead lead
}

// CountLearnt sums up the learnt names: quick also with a million rules, since none is read.
func (s *System) CountLearnt() (LearntCount, error) {
	type key struct {
		level Level
		scope learnScope
	}
	places := map[key]learntPlace{}
	now := bootTime()
	for _, from := range evidenceMaps {
		err := s.eachLearnt(from, func(scope learnScope, raw learnLearnt) {
			if int64(raw.Ends-now) < -int64(grace) {
				return
			}
			k := key{level(scope, from), scope}
			if places[k] == nil {
				places[k] = learntPlace{}
			}
			places[k].add(raw)
		})
		if err != nil {
			return LearntCount{}, err
		}
	}
	c := LearntCount{Names: map[Level]int{LevelProcess: 0, LevelUser: 0, LevelHost: 0}, Places: len(places)}
	addresses := map[[16]uint8]bool{}
	for k, p := range places {
		addresses[k.scope.Addr] = true
		c.Names[k.level] += len(p)
		if p.differs() {
			c.Conflicts++
		}
	}
	c.Addresses = len(addresses)
	return c, nil
}

// add notes a name. It can be with those that have a rule and with those that have none, from before and after a rule
// change: the later counts.
func (p learntPlace) add(raw learnLearnt) {
	n, twice := p[raw.Name]
	if twice && n.seen > raw.Seen {
		return
	}
	n.seen, n.lead = raw.Seen, lead{raw.Rule != 0, refIn(raw.Match)}
	p[raw.Name] = n
}

func (p learntPlace) differs() bool {
	var first *lead
	for _, n := range p {
		if first == nil {
			first = &n.lead
		}
		if n.lead != *first {
			return true
		}
	}
	return false
}
