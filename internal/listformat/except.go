package listformat

import (
	"fmt"
	"hash/maphash"

	"github.com/domain-route/domain-route/internal/pattern"
)

// class is how an entry of a list stands to the others of it: of those for one name the highest decides.
type class uint8

const (
	exception class = 1 << iota // what the list leaves alone
	important                   // comes before what is not
	bad                         // takes the same entry without this bit away
	classes   = bad
)

// maxMarks is how many names a list may except, or take away: no list has so many.
const maxMarks = 1 << 20

// excepting holds the entries of a list until all its exceptions are known, and then emits those that stand.
type excepting struct {
	below bool // an exception is for all below its name, too
	held  [classes]heldItems
	marks map[mark]uint8 // a bit for each class of entry there is, without the lowest
	all   uint8          // of these bits those that are anywhere
}

// mark is 128 bits for a pattern, seeded by chance: less memory than its name, and no two meet.
type mark [2]uint64

var markSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func markOf(p pattern.Pattern) mark {
	text := string(p.Name)
	if p.Kind == pattern.Prefix {
		text = p.Prefix.String()
	}
	return mark{maphash.String(markSeeds[0], text) + uint64(p.Kind), maphash.String(markSeeds[1], text)}
}

// excepting has read emit to what holds all entries, each of the class that c is then, and emits those that stand.
func (r *reading) excepting(below bool, read func(r *reading, c *class) error) error {
	var c class
	e := excepting{below: below}
	in := *r
	in.emit = func(i Item) error { return e.add(i, c) }
	if err := read(&in, &c); err != nil {
		return err
	}
	return e.emit(r.emit)
}

// add holds an entry.
func (e *excepting) add(i Item, c class) error {
	if c != 0 {
		if e.marks == nil {
			e.marks = make(map[mark]uint8)
		}
		e.marks[markOf(i.Pattern)] |= 1 << c
		e.all |= 1 << c
		if len(e.marks) > maxMarks {
			return &Error{Line: i.Line, Reason: fmt.Sprintf("the list has more than %d exceptions; split it", maxMarks)}
		}
	}
	if c&bad != 0 {
		return nil
	}
	return e.held[c].add(i)
}

// emit gives what stands to do, class by class.
func (e *excepting) emit(do emitter) error {
	for c := range classes {
		if e.all>>(c+1) == 0 {
			e.marks = nil // nothing can be void any more: the items get the memory
		}
		err := e.held[c].each(func(i Item) error {
			if e.isVoid(i.Pattern, c) {
				return nil
			}
			i.Exception = c&exception != 0
			return do(i)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isVoid tells whether an entry is taken away, or is nothing but what a higher one with another outcome is for. It is
// void, too, where that one is void itself: then something higher still is for both.
func (e *excepting) isVoid(p pattern.Pattern, c class) bool {
	if len(e.marks) == 0 {
		return false
	}
	if e.marks[markOf(p)]&(1<<(c|bad)) != 0 {
		return true
	}
	if !e.below || p.Kind == pattern.Prefix {
		return e.higher(markOf(p), c)
	}
	for n, ok := p.Name, true; ok; n, ok = n.Parent() {
		if e.higher(markOf(pattern.Pattern{Kind: pattern.Suffix, Name: n}), c) {
			return true
		}
	}
	return false
}

// higher tells whether a class above c, with another outcome, is at a place and not taken away.
func (e *excepting) higher(at mark, c class) bool {
	there := e.marks[at]
	for other := c + 1; other < classes; other += 2 {
		if there&(1<<other) != 0 && there&(1<<(other|bad)) == 0 {
			return true
		}
	}
	return false
}
