package main

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
)

// probeBatch is how many runs one mean of the kernel's statistics is of.
const probeBatch = 50

// measureRules compares matching in a small and a large rule set.
func (b *bench) measureRules() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	book, err := s.writeRules(b.rules)
	if err != nil {
		return err
	}
	if err := s.programs.attach(); err != nil {
		return err
	}
	m := matchTimes{match: map[int][]float64{}, answer: map[int][]float64{}, connect: map[int][]float64{}}
	for range b.matchRounds {
		for _, size := range b.rules {
			if err := s.matchOnce(book, size, &m); err != nil {
				return fmt.Errorf("%d rules: %w", size, err)
			}
		}
	}
	b.reportMatch(&m)
	return b.reportRuleAdd(s, "rule.add.million", fmt.Sprintf("rule add to %d rules, whole process", b.rules[len(b.rules)-1]), 1)
}

// matchTimes are figures by number of rules, one a round, in ns.
type matchTimes struct {
	match   map[int][]float64 // a name matched again at connect, after the rule set was replaced
	connect map[int][]float64 // such a connect as a whole
	answer  map[int][]float64 // an answer whose name is matched
}

// matchOnce puts a rule set in force, so that what is learnt has to be matched again at the next connect. The connects
// after that need not match: the difference is the matching.
func (s *steeredWorld) matchOnce(book *ruleBook, size int, m *matchTimes) error {
	if _, err := s.apply(book.config(size, false)); err != nil {
		return err
	}
	ingress, err := s.programs.at("ingress")
	if err != nil {
		return err
	}
	connect, err := s.programs.at("connect4")
	if err != nil {
		return err
	}
	if len(m.answer) == 0 { // the first time ever: now they are learnt
		if err := s.askAll(book); err != nil {
			return err
		}
		if err := s.swapBack(book, size); err != nil {
			return err
		}
	}
	stale, err := s.reconnect(connect, book)
	if err != nil {
		return err
	}
	fresh, err := s.reconnect(connect, book)
	if err != nil {
		return err
	}
	answer, err := s.answers(ingress, book)
	if err != nil {
		return err
	}
	m.match[size] = append(m.match[size], stale-fresh)
	m.connect[size] = append(m.connect[size], stale)
	m.answer[size] = append(m.answer[size], answer)
	return nil
}

// swapBack puts another rule set in force and then this one again, as something new.
func (s *steeredWorld) swapBack(book *ruleBook, size int) error {
	_, err := s.command("rule", "add", "swapped.test", "direct")
	if err == nil {
		_, err = s.apply(book.config(size, false))
	}
	return err
}

func (s *steeredWorld) askAll(book *ruleBook) error {
	_, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: book.names})
	return err
}

// answers is the median of the batches' means of an answer to a name known already, in ns.
func (s *steeredWorld) answers(ingress *ebpf.Program, book *ruleBook) (float64, error) {
	var times []float64
	for names := range slices.Chunk(book.names, probeBatch) {
		ns, err := exactly(len(names), ingress, func() error {
			_, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: names})
			return err
		})
		if err != nil {
			return 0, err
		}
		times = append(times, ns)
	}
	return median(times), nil
}

// reconnect is the median of the batches' means of connect4, in ns: what interrupts it spoils one batch.
func (s *steeredWorld) reconnect(connect *ebpf.Program, book *ruleBook) (float64, error) {
	var times []float64
	for addrs := range slices.Chunk(book.addrs, probeBatch) {
		ns, err := exactly(len(addrs), connect, func() error {
			_, err := s.client.do(order{Op: "reconnect", Addrs: addrs})
			return err
		})
		if err != nil {
			return 0, err
		}
		times = append(times, ns)
	}
	return median(times), nil
}

func (b *bench) reportMatch(m *matchTimes) {
	few, many := b.rules[0], b.rules[len(b.rules)-1]
	for _, size := range b.rules[1:] {
		var lim *limit
		if size == many {
			lim = atMost(2)
		}
		b.report.add(
			paired(row{ID: fmt.Sprintf("match.%d", size), What: fmt.Sprintf("match against %d rules, to %d", size, few), Limit: lim}, m.match[size], m.match[few]),
			paired(row{ID: fmt.Sprintf("match.connect.%d", size), What: fmt.Sprintf("  as part of connect4 with %d rules", size), Limit: lim}, m.connect[size], m.connect[few]),
			paired(row{ID: fmt.Sprintf("match.answer.%d", size), What: fmt.Sprintf("  as part of a DNS answer with %d rules", size), Limit: lim}, m.answer[size], m.answer[few]),
		)
	}
}
