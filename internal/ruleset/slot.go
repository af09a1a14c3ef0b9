package ruleset

// targetID is a target's place in Set.targets plus one; 0 is none.
type targetID uint32

// slot is what a set does with one pattern: 0 nothing, a targetID where there is no condition, else nodeBit and the
// place in Set.nodes. So conditions cost the names of a long list nothing: those with the same rules have one slot.
type slot uint32

const nodeBit slot = 1 << 31

// node is the first of the conditions of a pattern, and what comes after it: all nodes of one pattern are in the order
// of Condition.compare. Nodes are interned and never change.
type node struct {
	cond      Condition
	then      targetID
	otherwise slot
}

// makeNode returns the slot of n, new if need be.
func (s *Set) makeNode(n node) slot {
	if sl, ok := s.nodeIDs[n]; ok {
		return sl
	}
	if s.nodeIDs == nil {
		s.nodeIDs = make(map[node]slot)
	}
	if len(s.nodes) >= 1<<31-1 {
		panic("ruleset: too many conditions")
	}
	sl := nodeBit | slot(len(s.nodes))
	s.nodes = append(s.nodes, n)
	s.nodeIDs[n] = sl
	return sl
}

// with returns sl with id for a condition, where 0 removes it, and the target before.
func (s *Set) with(sl slot, c Condition, id targetID) (changed slot, old targetID) {
	if sl&nodeBit == 0 && c == (Condition{}) {
		return slot(id), targetID(sl)
	}
	var n node
	order := -1
	if sl&nodeBit != 0 {
		n = s.nodes[sl&^nodeBit]
		order = c.compare(n.cond)
	}
	switch {
	case order < 0 && id == 0:
		return sl, 0
	case order < 0:
		return s.makeNode(node{c, id, sl}), 0
	case order == 0 && id == 0:
		return n.otherwise, n.then
	case order == 0:
		old, n.then = n.then, id
	default:
		n.otherwise, old = s.with(n.otherwise, c, id)
	}
	return s.makeNode(n), old
}

// each yields the conditions of a slot and their targets in the order in which they decide, and at last the target
// without a condition, if there is one.
func (s *Set) each(sl slot) func(yield func(Condition, targetID) bool) {
	return func(yield func(Condition, targetID) bool) {
		for sl&nodeBit != 0 {
			n := s.nodes[sl&^nodeBit]
			if !yield(n.cond, n.then) {
				return
			}
			sl = n.otherwise
		}
		if sl != 0 {
			yield(Condition{}, targetID(sl))
		}
	}
}

// conditions counts those of a slot.
func (s *Set) conditions(sl slot) (n int) {
	for ; sl&nodeBit != 0; sl = s.nodes[sl&^nodeBit].otherwise {
		n++
	}
	return n
}

// of returns the target that sl has for exactly c.
func (s *Set) of(sl slot, c Condition) targetID {
	for cond, id := range s.each(sl) {
		if cond == c {
			return id
		}
	}
	return 0
}

// decide returns what decides for w, 0 when no condition holds.
func (s *Set) decide(sl slot, w Who) (Condition, targetID) {
	for cond, id := range s.each(sl) {
		if cond.Holds(w) {
			return cond, id
		}
	}
	return Condition{}, 0
}

// sweep drops the nodes that no pattern has any more, once they are many. No slot may be held across it.
func (s *Set) sweep() {
	if len(s.nodes) <= max(minSweep, s.sweepAt) {
		return
	}
	old := s.nodes
	s.nodes, s.nodeIDs = nil, nil
	moved := make([]slot, len(old)) // 0: not yet
	var move func(sl slot) slot
	move = func(sl slot) slot {
		if sl&nodeBit == 0 {
			return sl
		}
		at := &moved[sl&^nodeBit]
		if *at == 0 {
			n := old[sl&^nodeBit]
			n.otherwise = move(n.otherwise)
			*at = s.makeNode(n)
		}
		return *at
	}
	for i := range s.names.list {
		for k, sl := range s.names.list[i].at {
			s.names.list[i].at[k] = move(sl)
		}
	}
	for p, sl := range s.prefixes {
		s.prefixes[p] = move(sl)
	}
	s.def = move(s.def)
	s.sweepAt = 2 * len(s.nodes)
}

// minSweep is how many nodes are not worth a walk over all names.
const minSweep = 4096
