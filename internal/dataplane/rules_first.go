package dataplane

import (
	"bytes"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// FirstRules reads the first rules in force, n at most, in the order of ruleset.Set.Rules, and tells how many there are. Of a
// million rules the whole takes a second to read.
func (s *System) FirstRules(n int) (first []ruleset.Rule, all int, err error) {
	meta, err := s.meta()
	if err != nil {
		return nil, 0, err
	}
	text, err := s.text()
	if err != nil {
		return nil, 0, err
	}
	set := ruleset.New()
	if err := set.UnmarshalText(firstLines(text, n)); err != nil {
		return nil, 0, err
	}
	return set.Rules(), int(meta.Rules), nil
}

// firstLines cuts a text behind its n-th line.
func firstLines(text []byte, n int) []byte {
	end := 0
	for range n {
		line := bytes.IndexByte(text[end:], '\n')
		if line < 0 {
			return text
		}
		end += line + 1
	}
	return text[:end]
}
