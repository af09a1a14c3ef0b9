package dataplane

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// textPage is how much of a rule set's deflated text one map element holds, in bytes.
const textPage = 4096

// Digest identifies a rule set: the SHA-256 of its text as MarshalText writes it.
func Digest(set *ruleset.Set) ([32]byte, error) {
	text, err := set.MarshalText()
	return sha256.Sum256(text), err
}

// Digest is that of the rule set in force, without reading its text.
func (s *System) Digest() ([32]byte, error) {
	meta, err := s.meta()
	return meta.Digest, err
}

// meta is what the kernel has of the rule set in force as a whole.
func (s *System) meta() (learnRuleset, error) {
	var meta learnRuleset
	if err := s.maps[learnMapRulesets].Lookup(s.slot(), &meta); err != nil {
		return meta, fmt.Errorf("read the rule set: %w", err)
	}
	return meta, nil
}

// textPages opens the text of the rule set in force; nil: it has none.
func (s *System) textPages() (learnRuleset, *ebpf.Map, error) {
	meta, err := s.meta()
	if err != nil || meta.TextBytes == 0 {
		return meta, nil, err
	}
	pages, err := ebpf.LoadPinnedMap(s.tree.textPin(s.generation()), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return meta, nil, damaged("the rules' text")
	}
	if err != nil {
		return meta, nil, fmt.Errorf("open the rules' text: %w", err)
	}
	return meta, pages, nil
}

// text reads the text of the rule set in force.
func (s *System) text() ([]byte, error) {
	meta, pages, err := s.textPages()
	if err != nil || pages == nil {
		return nil, err
	}
	defer pages.Close()
	deflated, err := readPages(pages, 0, meta.TextBytes)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated))) // which does not read on behind its end
	if err != nil {
		return nil, fmt.Errorf("inflate the rules' text: %w", err)
	}
	return text, nil
}

// pinText keeps a rule set's text, given in parts, deflated, with the numbers of rules behind, and returns the length of all.
func (s *System) pinText(generation uint32, text ...[]byte) (uint64, error) {
	if !slices.ContainsFunc(text, func(part []byte) bool { return len(part) > 0 }) {
		return 0, nil
	}
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestSpeed)
	if err != nil {
		return 0, err
	}
	for _, part := range text {
		if _, err := w.Write(part); err != nil {
			return 0, err
		}
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	if err := appendCounts(&deflated, text...); err != nil {
		return 0, err
	}
	length := deflated.Len()
	pages := (length + textPage - 1) / textPage
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "text", Type: ebpf.Array, KeySize: 4, ValueSize: textPage, MaxEntries: uint32(pages),
	})
	if err != nil {
		return 0, fmt.Errorf("make a map for the rules' text: %w", err)
	}
	defer m.Close()
	for i := range uint32(pages) {
		page := make([]byte, textPage)
		copy(page, deflated.Next(textPage))
		if err := m.Put(i, page); err != nil {
			return 0, fmt.Errorf("write the rules' text: %w", err)
		}
	}
	pin := s.tree.textPin(generation)
	if err := os.Remove(pin); err != nil && !isNotExist(err) {
		return 0, fmt.Errorf("remove a killed change's text: %w", err)
	}
	if err := m.Pin(pin); err != nil {
		return 0, fmt.Errorf("pin the rules' text: %w", err)
	}
	return uint64(length), nil
}
