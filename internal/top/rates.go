package top

import (
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// remembered is of how many readings the rates are kept.
const remembered = 120

// key is a rule without its target: with another it is still the same rule.
type key struct {
	pattern   pattern.Pattern
	condition ruleset.Condition
}

func keyOf(r ruleset.Rule) key { return key{r.Pattern, r.Condition} }

// series is how often something happened.
type series struct {
	count uint64
	rates []float64 // a second, the latest last
}

func (s *series) add(count uint64, seconds float64) {
	more := count - s.count
	if count < s.count { // it began anew
		more = count
	}
	s.count = count
	if seconds > 0 {
		s.rates = append(s.rates, float64(more)/seconds)
		if len(s.rates) > remembered {
			s.rates = s.rates[len(s.rates)-remembered:]
		}
	}
}

// now is the latest rate.
func (s *series) now() float64 {
	if s == nil || len(s.rates) == 0 {
		return 0
	}
	return s.rates[len(s.rates)-1]
}

// rates are those of rules and counters.
type rates struct {
	at       time.Time
	rules    map[key]*series
	counters map[string]*series
}

// totals are the header's figures, each a sum of counters (docs/counters.md).
var totals = []struct {
	name string
	of   []string
}{
	{"steered", []string{"steered", "steered_by_address", "steered_by_default"}},
	{"marked", []string{"marked"}},
	{"direct", []string{"direct", "chain_direct"}},
	{"blocked", []string{"blocked"}},
	{"refused", []string{"no_interface", "shared_socket", "rebind_refused"}},
	{"failed", []string{"bind_failed"}},
	{"learnt", []string{"learnt", "learnt_no_rule"}},
}

// add takes in a snapshot. A rule that has decided nothing before has been at 0.
func (r *rates) add(s Snapshot) {
	seconds := 0.0
	if !r.at.IsZero() {
		seconds = s.When.Sub(r.at).Seconds()
	}
	r.at = s.When
	before := r.rules
	r.rules = make(map[key]*series, len(s.Hits))
	for _, h := range s.Hits {
		k := keyOf(h.Rule)
		one := before[k]
		if one == nil {
			one = &series{}
			if before == nil {
				one.count = h.Count // of the time before we looked
			}
		}
		one.add(h.Count, seconds)
		r.rules[k] = one
	}
	if r.counters == nil {
		r.counters = map[string]*series{}
	}
	for _, t := range totals {
		var sum uint64
		for _, name := range t.of {
			sum += s.Counters[name]
		}
		one := r.counters[t.name]
		if one == nil {
			one = &series{count: sum}
			r.counters[t.name] = one
		}
		one.add(sum, seconds)
	}
}

func (r *rates) rule(h dataplane.Hit) *series { return r.rules[keyOf(h.Rule)] }

// levels are the characters of a sparkline, from nothing to the most.
var (
	levels      = []rune(" ▁▂▃▄▅▆▇█")
	levelsASCII = []rune(" .:-=+*#@")
)

// sparkline draws the latest rates in a width, the latest at the right.
func sparkline(rates []float64, width int, ascii bool) string {
	chars := levels
	if ascii {
		chars = levelsASCII
	}
	line := make([]rune, width)
	for i := range line {
		line[i] = ' '
	}
	if len(rates) > width {
		rates = rates[len(rates)-width:]
	}
	most := 0.0
	for _, r := range rates {
		most = max(most, r)
	}
	for i, r := range rates {
		if r > 0 {
			step := 1 + int(r/most*float64(len(chars)-2)+0.5)
			line[width-len(rates)+i] = chars[min(step, len(chars)-1)]
		}
	}
	return string(line)
}
