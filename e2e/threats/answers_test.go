package threats

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// What a host may be told by answers, good, bad and forged, in one lab: the one late answer has to wait for ten seconds.
func TestAnswers(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	s := newSpoofer(t, h)

	// T1. Defence: question_key and take in bpf/questions.h: transaction id, all bytes of the question, server and
	// socket have to be right, and only once; asker_of for sockets that never asked.
	t.Run("every transaction id", s.everyID)
	t.Run("two answers", s.twoAnswers)
	t.Run("forgeries", s.forgeries)

	// T2. Defence: expected() in bpf/learn.bpf.c.
	t.Run("wrong sequence numbers", func(t *testing.T) { testSequence(t, s) })
	// T3. None: documents what happens.
	t.Run("wrong checksum", func(t *testing.T) { testChecksum(t, s) })

	// G1. Defence: question_key, check_header, skip_label, walk_record and check_walk, each where the row's counter
	// says; and nothing is learnt before the walk has ended well.
	t.Run("malformed", func(t *testing.T) { testMalformed(t, h) })
	t.Run("malformed stream", func(t *testing.T) { testMalformedStream(t, h) })
	t.Run("odd questions", func(t *testing.T) { testOddQuestions(t, s) })
	// The other side: a parser that refuses too much fails here.
	t.Run("unusual", func(t *testing.T) { testUnusual(t, h) })
	// Defence: RECORDS_MAX and MESSAGE_MAX in bpf/dns.h.
	t.Run("huge", func(t *testing.T) { testHuge(t, h) })

	// T1. Defence: QUESTION_LIFE in take().
	t.Run("late", s.tooLate)
}
