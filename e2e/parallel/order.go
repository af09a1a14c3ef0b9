// Package parallel holds what many commands at once did against what one after the other could have done.
package parallel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// operation is one command that succeeded, as a step on the table key -> target. Nobody sets a target that was set before,
// so that a value tells who wrote it.
type operation struct {
	text         string // for the error
	began, ended time.Duration

	key, was, set string            // a write; "" is no rule. A delete that found no rule: all but the key ""
	seen          map[string]string // a list: the whole table
}

func (o *operation) reads() bool { return o.seen != nil || o.was == o.set }

// errTooLong is no verdict: the search was given up.
var errTooLong = errors.New("gave up looking for an order")

// maxSteps bounds the search of one history: an honest one of 65 commands takes some hundred.
const maxSteps = 2_000_000

// explain tells whether the operations, each as a whole and somewhere between its begin and its end, can have happened
// one after the other from a first table on (linearizability; Wing and Gong's search). Where there is nothing to
// choose it does not choose:
//
//   - A read that would see what it saw is taken at once: it changes nothing.
//   - So is a write over a target, unless a list is left that saw that target: in any order that begins as ours does, nobody
//     else writes the key before, or the write could not find what it found.
//
// What is left to try is who comes first where there is no rule.
func explain(first map[string]string, all []operation) error {
	s := search{all: slices.Clone(all), table: map[string]string{}, failed: map[string]bool{}, sawLeft: map[string]int{}}
	for key, target := range first {
		s.table[key] = target
	}
	slices.SortStableFunc(s.all, func(a, b operation) int { return cmp.Compare(a.began, b.began) })
	s.done = make([]byte, len(s.all))
	for _, o := range s.all {
		for key, target := range o.seen {
			s.sawLeft[key+" "+target]++
		}
	}
	if s.run(len(s.all)) {
		return nil
	}
	if s.steps > maxSteps {
		return errTooLong
	}
	return fmt.Errorf("no order explains what the commands said; the furthest came to\n%s\nand left\n%s", s.bestTable, s.bestLeft)
}

type search struct {
	all     []operation
	done    []byte // 1: taken
	table   map[string]string
	sawLeft map[string]int  // "key target": lists not taken that saw it
	failed  map[string]bool // sets of taken operations that lead nowhere; the table follows from the set
	steps   int

	best                int
	bestTable, bestLeft string
}

// run takes the operations that are left, and puts everything back if it cannot.
func (s *search) run(left int) bool {
	var forced []int
	undo := func() {
		for _, i := range slices.Backward(forced) {
			s.untake(i)
		}
	}
	for {
		i := s.free()
		if i < 0 {
			break
		}
		s.take(i)
		forced = append(forced, i)
	}
	left -= len(forced)
	if left == 0 {
		return true
	}
	s.note(left)
	if s.failed[string(s.done)] || s.steps > maxSteps {
		undo()
		return false
	}
	for _, i := range s.candidates() {
		if o := &s.all[i]; o.seen != nil || o.was != "" || o.set == "" || s.table[o.key] != "" {
			continue
		}
		s.take(i)
		if s.run(left - 1) {
			return true
		}
		s.untake(i)
	}
	s.failed[string(s.done)] = true
	undo()
	return false
}

// candidates are the operations that can be next: nothing that is left ended before they began.
func (s *search) candidates() []int {
	s.steps++
	end := time.Duration(1<<63 - 1)
	for i, o := range s.all {
		if s.done[i] == 0 {
			end = min(end, o.ended)
		}
	}
	var next []int
	for i, o := range s.all {
		if o.began > end {
			break
		}
		if s.done[i] == 0 {
			next = append(next, i)
		}
	}
	return next
}

// free finds an operation that may be taken without trying others, or -1.
func (s *search) free() int {
	for _, i := range s.candidates() {
		o := &s.all[i]
		switch {
		case o.seen != nil:
			if s.sees(o) {
				return i
			}
		case s.table[o.key] != o.was:
		case o.reads(), o.was != "" && s.sawLeft[o.key+" "+o.was] == 0:
			return i
		}
	}
	return -1
}

func (s *search) sees(o *operation) bool {
	if len(o.seen) != len(s.table) {
		return false
	}
	for key, target := range o.seen {
		if s.table[key] != target {
			return false
		}
	}
	return true
}

func (s *search) take(i int) { s.move(i, 1, s.all[i].set, -1) }

func (s *search) untake(i int) { s.move(i, 0, s.all[i].was, 1) }

func (s *search) move(i int, done byte, target string, saw int) {
	s.done[i] = done
	o := &s.all[i]
	for key, target := range o.seen {
		s.sawLeft[key+" "+target] += saw
	}
	switch {
	case o.seen != nil:
	case target == "":
		delete(s.table, o.key)
	default:
		s.table[o.key] = target
	}
}

// note keeps how far the best try came.
func (s *search) note(left int) {
	if taken := len(s.all) - left; taken <= s.best && s.best > 0 {
		return
	}
	s.best = len(s.all) - left
	var table, rest []string
	for key, target := range s.table {
		table = append(table, "  "+key+" "+target)
	}
	slices.Sort(table)
	for i, o := range s.all {
		if s.done[i] == 0 {
			rest = append(rest, fmt.Sprintf("  %v..%v %s", o.began, o.ended, o.text))
		}
	}
	s.bestTable, s.bestLeft = strings.Join(table, "\n"), strings.Join(rest, "\n")
}
