package ruleset

import (
	"fmt"
	"slices"
)

// alternative is one condition and its target on the way of a look-up through the patterns.
type alternative struct {
	cond Condition
	then Ref
}

// chain returns what the slots of one name or prefix lead to, the most specific first, where the less specific patterns
// lead to inherited.
func (c *compiler) chain(inherited Ref, levels ...slot) (Ref, error) {
	of := chainOf{first: levels[0], inherited: inherited}
	if len(levels) > 1 {
		of.second = levels[1]
	}
	if of.first == 0 {
		of.first, of.second = of.second, 0
	}
	switch {
	case of.first == 0:
		return inherited, nil
	case of.first&nodeBit == 0:
		return Ref(of.first), nil
	}
	if of == c.last {
		return c.lastRef, nil
	}
	ref, ok := c.chains[of]
	if !ok {
		var err error
		if ref, err = c.makeChain(of); err != nil {
			return 0, err
		}
		c.chains[of] = ref
	}
	c.last, c.lastRef = of, ref
	return ref, nil
}

func (c *compiler) makeChain(of chainOf) (Ref, error) {
	var way []alternative
	end := Ref(0)
	for _, sl := range []slot{of.first, of.second} {
		if end != 0 {
			break
		}
		for cond, id := range c.set.each(sl) {
			if cond == (Condition{}) {
				end = Ref(id)
				break
			}
			way = appendReachable(way, alternative{cond, Ref(id)})
		}
	}
	if end == 0 {
		for end = of.inherited; end&ChoiceBit != 0; {
			choice := c.out.Choices[end&^ChoiceBit]
			way = appendReachable(way, alternative{choice.Condition, choice.Then})
			end = choice.Otherwise
		}
	}
	return c.link(way, end)
}

// appendReachable appends a unless one before it decides wherever a would.
func appendReachable(way []alternative, a alternative) []alternative {
	for _, before := range way {
		if a.cond.implies(before.cond) {
			return way
		}
	}
	return append(way, a)
}

// link makes the choices of a way, from its end, and leaves out those that change nothing.
func (c *compiler) link(way []alternative, end Ref) (Ref, error) {
	length := 0
	for _, a := range slices.Backward(way) {
		if a.then == end {
			continue
		}
		if length++; length > MaxChoices {
			return 0, fmt.Errorf("%w: with those of less specific patterns it has more than %d", ErrTooManyConditions, MaxChoices)
		}
		var err error
		if end, err = c.choice(Choice{a.cond, a.then, end}); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// choice returns the reference of a choice, new if need be.
func (c *compiler) choice(choice Choice) (Ref, error) {
	if ref, ok := c.choices[choice]; ok {
		return ref, nil
	}
	if len(c.out.Choices) == MaxDistinctChoices {
		return 0, fmt.Errorf("%w: more than %d different ones, with their targets", ErrTooManyConditions, MaxDistinctChoices)
	}
	ref := ChoiceBit | Ref(len(c.out.Choices))
	c.out.Choices = append(c.out.Choices, choice)
	c.choices[choice] = ref
	return ref, nil
}

// decide follows the choices of ref for w to the number of a target, 0 for the next stage.
func (c Compiled) decide(ref Ref, w Who) Ref {
	for ref&ChoiceBit != 0 {
		choice := c.Choices[ref&^ChoiceBit]
		ref = choice.Otherwise
		if choice.Condition.Holds(w) {
			ref = choice.Then
		}
	}
	return ref
}
