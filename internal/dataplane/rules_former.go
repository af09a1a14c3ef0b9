package dataplane

import (
	"bytes"
	"maps"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// A learnt name whose text was evicted is judged by the hash of the name whose rule matched it (ref_of_rule in
// bpf/suffix.h). That name may have no entry any more, for its rule was deleted or changes nothing, while the rule of a
// shorter name is for it. So such former names have entries, too, as long as names matched by them are live, and stand as
// comments at the end of the rule set's text, which is where the next change finds them.
const formerMark = "#former "

// recorded are the hashes of the names whose rules matched live names, but for those that `known` knows.
func (s *System) recorded(known func(rule uint64) bool) (map[uint64]bool, error) {
	unknown := map[uint64]bool{}
	now := bootTime()
	for _, from := range ruledMaps {
		err := s.eachLearnt(from, func(_ learnScope, l learnLearnt) {
			if l.Rule != 0 && now <= l.Ends+uint64(grace) && !unknown[l.Rule] && !known(l.Rule) {
				unknown[l.Rule] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// formerNames finds the names that live names were matched by and that a compiled rule set has no entry for: among those of
// the change before; in the texts of learnt names, which end with them; else among those of the rule set in force. One that
// is in none of them, since another version put that in force, is "": nothing can be done for it.
func (s *System) formerNames(c ruleset.Compiled) (map[uint64]pattern.Name, error) {
	wanted, err := s.recorded(c.HasEntry)
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	// Learnt anew, a name is matched by a former one while that has an entry, or by a rule in force.
	if s.inForce == nil {
		if _, err := s.Rules(); err != nil {
			return nil, err
		}
	}
	found := map[uint64]pattern.Name{}
	take := func(hash uint64, n pattern.Name) {
		if wanted[hash] {
			found[hash] = n
			delete(wanted, hash)
		}
	}
	for hash, n := range s.former {
		if n != "" {
			take(hash, n)
		}
	}
	if len(wanted) > 0 {
		err = s.eachSuffix(take)
	}
	if err != nil || len(wanted) == 0 {
		return found, err
	}
	set, err := s.Rules()
	if err != nil {
		return nil, err
	}
	inForce := set.NamesOf(wanted, s.key())
	for hash := range wanted {
		found[hash] = inForce[hash]
	}
	return found, nil
}

// eachSuffix calls f for the suffixes of all names whose texts are there, with their hashes.
func (s *System) eachSuffix(f func(hash uint64, n pattern.Name)) error {
	for _, from := range nameMaps {
		names, err := s.names(from)
		if err != nil {
			return err
		}
		for _, n := range names {
			hashes := s.key().SuffixHashes(n)
			for i := len(hashes) - 1; i > 0; i-- {
				f(hashes[i], n)
				n, _ = n.Parent()
			}
		}
	}
	return nil
}

// formerEntries are those of former names: a compiled rule set leads them to where it leads the names above them.
func (s *System) formerEntries(c ruleset.Compiled, former map[uint64]pattern.Name) (entries []ruleset.Entry) {
	for hash, n := range former {
		if n == "" {
			continue
		}
		if to := c.Inherited(s.key().SuffixHashes(n)); to != 0 {
			entries = append(entries, ruleset.Entry{Hash: hash, Apex: to, Sub: to})
		}
	}
	return entries
}

// formerText is what stands of former names at the end of a rule set's text.
func formerText(former map[uint64]pattern.Name) (text []byte) {
	for _, n := range slices.Sorted(maps.Values(former)) {
		if n == "" {
			continue
		}
		text = append(append(append(text, formerMark...), n.String()...), '\n')
	}
	return text
}

// formerIn reads the names back.
func (s *System) formerIn(text []byte) map[uint64]pattern.Name {
	former := map[uint64]pattern.Name{}
	for len(text) > 0 {
		start := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		name, ok := bytes.CutPrefix(text[start:len(text)-1], []byte(formerMark))
		if !ok {
			break
		}
		if n, err := pattern.ParseName(string(name)); err == nil {
			former[s.key().Hash(n)] = n
		}
		text = text[:start]
	}
	return former
}
