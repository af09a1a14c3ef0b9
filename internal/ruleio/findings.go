package ruleio

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
)

// Kind is what a finding is about.
type Kind string

// The kinds of finding.
const (
	Overridden   Kind = "overridden"    // an inline rule is beaten by a later file's, or beats a list's, with another target
	Overlap      Kind = "overlap"       // two lists have one pattern with different targets; the later counts
	Outranked    Kind = "outranked"     // an inline rule's very name has a more specific rule in a list, with another target
	Unreachable  Kind = "unreachable"   // a rule can never decide anything
	Redundant    Kind = "redundant"     // without the rule all would be the same
	PublicSuffix Kind = "public_suffix" // a rule is for everybody's names below a public suffix
	Unused       Kind = "unused"        // remove or without takes nothing away
	Empty        Kind = "empty"         // a list gives no rule; Other is where the configuration names it
	NearTarget   Kind = "near_target"   // a target is taken for an interface, and is nearly the name of a target
)

// Strict says what the findings are that --strict refuses, "" if there are none.
func (l *Loaded) Strict() string {
	var all []string
	for _, one := range []struct {
		kind Kind
		text string
	}{{PublicSuffix, "public suffixes with a rule"}, {Empty, "lists that give no rule"}} {
		if n := l.Counts[one.kind]; n > 0 {
			all = append(all, fmt.Sprintf("%s: %d", one.text, n))
		}
	}
	return strings.Join(all, ", ")
}

// MaxFindings is how many findings of each kind are kept, unless LoadOptions say otherwise; the others are counted only.
const MaxFindings = 20

// Finding is something about the rules that may not be meant.
type Finding struct {
	Kind  Kind   `json:"kind"`
	Text  string `json:"text"`
	At    Place  `json:"at"`
	Other Place  `json:"other"` // the second place of two that differ, Path "" where there is none
}

// findings keeps the first of each kind.
type findings struct {
	list   []Finding
	counts map[Kind]int
	most   int // of each kind to keep; 0: MaxFindings
}

// add keeps or counts a finding; text is called if it is kept. It returns the place in the list, -1 if it is not kept.
func (f *findings) add(k Kind, at, other Place, text func() string) int {
	if f.counts == nil {
		f.counts = make(map[Kind]int)
	}
	f.counts[k]++
	if f.counts[k] > cmp.Or(f.most, MaxFindings) {
		return -1
	}
	f.list = append(f.list, Finding{k, text(), at, other})
	return len(f.list) - 1
}

// clone returns a copy, whose list and counts are never nil.
func (f *findings) clone() findings {
	c := findings{append([]Finding{}, f.list...), map[Kind]int{}, f.most}
	maps.Copy(c.counts, f.counts)
	return c
}
