package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// Behind a rule set's deflated text stands how many rules each target has, "NUMBER TARGET" a line, so that status need not
// inflate a million rules; then the length of that, and a mark.
const (
	countsMark = "dr-count"
	countsTail = 4 + len(countsMark)
)

// appendCounts counts the rules in a text, given in parts, and writes that down.
func appendCounts(to *bytes.Buffer, text ...[]byte) error {
	from := to.Len()
	for _, part := range text {
		counts, err := ruleset.CountTargets(part)
		if err != nil {
			return fmt.Errorf("count the rules: %w", err)
		}
		for _, c := range counts {
			fmt.Fprintf(to, "%d %s\n", c.Rules, c.Target)
		}
	}
	var length [4]byte
	binary.LittleEndian.PutUint32(length[:], uint32(to.Len()-from))
	to.Write(length[:])
	to.WriteString(countsMark)
	return nil
}

var errNoCounts = errors.New("no numbers of rules behind the text")

// readCounts reads them, of a text that is so long.
func readCounts(pages *ebpf.Map, length uint64) ([]ruleset.TargetRules, error) {
	if length < uint64(countsTail) {
		return nil, errNoCounts
	}
	tail, err := readPages(pages, length-uint64(countsTail), length)
	if err != nil {
		return nil, err
	}
	size := uint64(binary.LittleEndian.Uint32(tail))
	if string(tail[4:]) != countsMark || size > length-uint64(countsTail) {
		return nil, errNoCounts
	}
	lines, err := readPages(pages, length-uint64(countsTail)-size, length-uint64(countsTail))
	if err != nil {
		return nil, err
	}
	var all []ruleset.TargetRules
	for line := range bytes.Lines(lines) {
		number, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		n, err := strconv.Atoi(string(number))
		if err != nil {
			return nil, errNoCounts
		}
		t, err := ruleset.ParseTarget(string(text))
		if err != nil {
			return nil, errNoCounts
		}
		all = append(all, ruleset.TargetRules{Target: t, Rules: n})
	}
	return all, nil
}

// readPages reads what stands from one place in a text to another.
func readPages(pages *ebpf.Map, from, to uint64) ([]byte, error) {
	if to > uint64(pages.MaxEntries())*textPage {
		return nil, fmt.Errorf("read the rules' text: %w", io.ErrUnexpectedEOF)
	}
	out := make([]byte, 0, to-from+2*textPage)
	for i := from / textPage; i*textPage < to; i++ {
		page, err := pages.LookupBytes(uint32(i))
		if err != nil || page == nil {
			return nil, fmt.Errorf("read page %d of the rules' text: %w", i, errors.Join(err, io.ErrUnexpectedEOF))
		}
		out = append(out, page...)
	}
	skip := from % textPage
	return out[skip : skip+to-from], nil
}

// targetRules counts the rules in force by target: as it was written down, or, where a version wrote them that did not, in
// their text.
func (s *System) targetRules() ([]ruleset.TargetRules, error) {
	meta, pages, err := s.textPages()
	if err != nil || pages == nil {
		return nil, err
	}
	defer pages.Close()
	counts, err := readCounts(pages, meta.TextBytes)
	if !errors.Is(err, errNoCounts) {
		return counts, err
	}
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	return ruleset.CountTargets(text)
}
