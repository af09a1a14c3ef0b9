// Package testlist makes up lists of names in the shape of public rule lists, for tests and benches: lengths from 6 to
// 101 characters with a median of 16 and 71 at the 99th percentile, 2 to 11 labels, a fifth of the names below another
// name of the list.
package testlist

import (
	"math"
	"math/rand/v2"
	"strings"
)

// belowShare is how many of the names, of those that are long enough, are put below an earlier one.
const belowShare = 0.25

// maxLabels is how many labels a name has at most; maxLabel is how long one is.
const (
	maxLabels = 11
	maxLabel  = 63
)

// shape is the quantiles of the lengths, as corners of a polygon: flat where a quantile is promised.
var shape = []struct{ share, length float64 }{
	{0, 6}, {0.02, 8}, {0.10, 11}, {0.25, 13}, {0.46, 16}, {0.54, 16}, {0.75, 21}, {0.90, 30}, {0.96, 45},
	{0.988, 71}, {0.992, 71}, {0.998, 101}, {1, 101},
}

// tops are what names end in, the common ones more often.
var tops = []string{
	"com", "com", "com", "com", "com", "net", "net", "org", "cn", "ru", "de", "fr", "io", "info", "co.uk", "com.br", "xn--p1ai",
}

// List makes names up, one after the other. The same seed gives the same names.
type List struct {
	rand  *rand.Rand
	seen  map[string]struct{}
	names []string
	phase float64
}

// New begins a list.
func New(seed uint64) *List {
	return &List{rand: rand.New(rand.NewPCG(seed, 1)), seen: map[string]struct{}{}}
}

// Names returns n distinct names; the first ones of a longer list of the same seed are those of a shorter one.
func Names(seed uint64, n int) []string { return New(seed).Take(n) }

// Take returns the next n names, all distinct from those before.
func (l *List) Take(n int) []string {
	first := len(l.names)
	for range n {
		length := lengthAt(l.nextPhase())
		for !l.add(l.compose(length)) { // taken: another one of that length
		}
	}
	return l.names[first:]
}

// nextPhase walks through 0..1 so evenly (by the golden ratio) that a short list has the shape of a long one.
func (l *List) nextPhase() float64 {
	_, l.phase = math.Modf(l.phase + math.Phi)
	return l.phase
}

func (l *List) add(name string) bool {
	if _, taken := l.seen[name]; taken || name == "" {
		return false
	}
	l.seen[name] = struct{}{}
	l.names = append(l.names, name)
	return true
}

// lengthAt is the length at a quantile.
func lengthAt(share float64) int {
	i := 1
	for share > shape[i].share {
		i++
	}
	a, b := shape[i-1], shape[i]
	return int(math.Round(a.length + (share-a.share)/(b.share-a.share)*(b.length-a.length)))
}

// compose makes a name of a length, "" if the dice fell badly.
func (l *List) compose(length int) string {
	base := tops[l.rand.IntN(len(tops))]
	if len(l.names) > 0 && l.rand.Float64() < belowShare {
		for range 6 { // most are too long to be below
			if parent := l.names[l.rand.IntN(len(l.names))]; len(parent)+2 <= length {
				base = parent
				break
			}
		}
	}
	room := length - len(base) - 1 // 1: the dot before it
	return l.labels(room, maxLabels-strings.Count(base, ".")-1, base)
}

// labels puts labels of `room` characters, the dots between them included, before a base.
func (l *List) labels(room, most int, base string) string {
	fewest := (room + 1 + maxLabel) / (maxLabel + 1)
	most = min(most, (room+1)/2)
	if room < 1 || fewest > most {
		return ""
	}
	n := fewest
	switch p := l.rand.Float64(); {
	case room > 40: // trackers' and clouds' names
		n += l.rand.IntN(most - fewest + 1)
	case p < 0.35 && most > n && room > 6:
		n++
	}
	var b strings.Builder
	for left := n; left > 0; left-- {
		rest := 2 * (left - 1) // what the labels after this one need
		size := room - rest
		if left > 1 {
			least := max(1, room-(left-1)*(maxLabel+1))
			size = least + l.rand.IntN(min(size, maxLabel, 2*room/left)-least+1)
		}
		l.label(&b, size)
		b.WriteByte('.')
		room -= size + 1
	}
	b.WriteString(base)
	return b.String()
}

// label writes a label: letters, some digits, and hyphens that stand alone within.
func (l *List) label(b *strings.Builder, size int) {
	const letters = "aaabcdeeefghiiijklmnooopqrstuuvwxyz"
	hyphen := true
	for i := range size {
		switch p := l.rand.IntN(100); {
		case p < 4 && !hyphen && i+1 < size:
			b.WriteByte('-')
			hyphen = true
			continue
		case p < 12:
			b.WriteByte(byte('0' + l.rand.IntN(10)))
		default:
			b.WriteByte(letters[l.rand.IntN(len(letters))])
		}
		hyphen = false
	}
}
