// Package listformat reads and writes the lists of names that other tools use. It does no I/O but on the readers and
// writers it is given, and knows nothing of Linux.
package listformat

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Format is how a list is written.
type Format string

// The formats.
const (
	Plain          Format = "plain"           // one pattern a line; Options.Exact says what a bare name means
	Hosts          Format = "hosts"           // ADDRESS NAME...; exact
	Dnsmasq        Format = "dnsmasq"         // server=, local=, address=, ipset=, nftset=
	Adblock        Format = "adblock"         // AdGuard's and adblock's ||name^ and @@||name^
	V2fly          Format = "v2fly"           // domain-list-community text
	Geosite        Format = "geosite"         // geosite.dat, one category of it
	SingBox        Format = "sing-box"        // rule-set, JSON source
	ClashDomain    Format = "clash-domain"    // rule provider, behavior domain, YAML or text
	ClashClassical Format = "clash-classical" // rule provider, behavior classical, YAML or text
)

// Formats returns all formats, in the order of their constants.
func Formats() []Format {
	return []Format{Plain, Hosts, Dnsmasq, Adblock, V2fly, Geosite, SingBox, ClashDomain, ClashClassical}
}

// List is what a list of the format is called in a sentence: "a plain list".
func (f Format) List() string {
	if f == Adblock {
		return "an adblock list"
	}
	return "a " + string(f) + " list"
}

// Options say how to read a list.
type Options struct {
	Format   Format
	Exact    bool   // Plain: a bare name means itself only, not its subdomains, too
	Category string // Geosite: which one; case does not matter
	// V2fly, Geosite: only entries with each of these attributes: ATTR or @ATTR, and !ATTR or @-ATTR for entries
	// without it. The forms with '@' are for attributes that begin with a '!' themselves, such as @!cn.
	Attrs []string

	// Include opens the list NAME that a V2fly list includes; nil: includes are refused.
	Include func(name string) (io.ReadCloser, error)
}

// Item is one pattern of a list.
type Item struct {
	Pattern   pattern.Pattern // never Default
	Exception bool            // the list excludes it: @@||name^, server=/name/#; it is to be left alone. No other item is for the same pattern.
	File      string          // where it stands, if not in the list itself: the name given to Include
	Line      int             // where it stands, from 1; 0 in a Geosite, which has no lines
}

// Skipped counts what a list holds and rules cannot express.
type Skipped struct {
	Kind  string `json:"kind"` // keyword, regexp, port, wildcard, bad name, ... : a word or two, lower case
	Count int    `json:"count"`
	Lines []int  `json:"lines"` // the first few, maxLines at most; empty for a Geosite, and where a list is written
	First string `json:"first"` // the first one's text, cut to a readable length; UTF-8, but printable only if the list is
}

// Report says what was made of a list.
type Report struct {
	Items   int       `json:"items"`
	Skipped []Skipped `json:"skipped"` // by kind, in the order of first sight
}

// maxLines is how many line numbers Skipped keeps of each kind.
const maxLines = 5

// maxFirst is how many bytes Skipped keeps of the first one's text.
const maxFirst = 80

// skip counts one entry that cannot be expressed. It is for the readers of the formats.
func (r *Report) skip(kind string, line int, text string) {
	for i := range r.Skipped {
		s := &r.Skipped[i]
		if s.Kind != kind {
			continue
		}
		s.Count++
		if line > 0 && len(s.Lines) < maxLines {
			s.Lines = append(s.Lines, line)
		}
		return
	}
	if len(text) > maxFirst {
		text = text[:maxFirst]
	}
	s := Skipped{Kind: kind, Count: 1, Lines: []int{}, First: strings.ToValidUTF8(strings.Clone(text), "\uFFFD")}
	if line > 0 {
		s.Lines = append(s.Lines, line)
	}
	r.Skipped = append(r.Skipped, s)
}

// Error is what makes a whole list unreadable, and where.
type Error struct {
	Line, Column int // from 1; 0 where there is none
	Reason       string
}

// Error names the line.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return e.Reason
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// emitter takes the items of a list, one by one; an error of it ends the reading.
type emitter func(Item) error

// reading is one list being read: what every format's reader is given. See lines.go for what they share.
type reading struct {
	in     io.Reader
	o      Options
	report *Report
	emit   emitter
}

// readers holds every format's reader.
var readers = map[Format]func(*reading) error{
	Plain:          readPlain,
	Hosts:          readHosts,
	Dnsmasq:        readDnsmasq,
	Adblock:        readAdblock,
	V2fly:          readV2fly,
	Geosite:        readGeosite,
	SingBox:        readSingBox,
	ClashDomain:    readClashDomain,
	ClashClassical: readClashClassical,
}

// Read reads a whole list and gives its patterns to emit, in bounded memory: in their order, or for formats that have
// exceptions these behind the others, and without what they take back. Entries that rules cannot
// express, or that are no names, are counted and never widened. Errors are of the reader, of emit, or *Error.
func Read(in io.Reader, o Options, emit func(Item) error) (Report, error) {
	read, ok := readers[o.Format]
	if !ok {
		return Report{}, &Error{Reason: fmt.Sprintf("unknown format %q", o.Format)}
	}
	report := Report{Skipped: []Skipped{}}
	b := buffered(in)
	head, err := b.Peek(longestMagic)
	if err != nil && !errors.Is(err, io.EOF) {
		return report, err
	}
	if err := Compiled("", head); err != nil {
		return report, err
	}
	err = read(&reading{b, o, &report, func(i Item) error {
		report.Items++
		return emit(i)
	}})
	return report, err
}
