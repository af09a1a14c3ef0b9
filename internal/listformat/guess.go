package listformat

import (
	"bytes"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// What compiled rule sets begin with, decompressed.
const (
	singBoxMagic = "SRS"
	mihomoMagic  = "MRS\x01"
)

// headSize is how much of a list is looked at.
const headSize = 64 << 10

// foreign is what else cannot be read, by what it begins with, and the cure.
var foreign = []struct{ magic, reason string }{
	{"\xfd7zXZ\x00", "packed by xz; unpack it: xz -d FILE"},
	{"BZh91AY&SY", "packed by bzip2; unpack it: bzip2 -d FILE"},
	{"PK\x03\x04", "a zip archive; unpack it: unzip FILE"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it: 7z x FILE"},
	{"\x04\x22\x4d\x18", "packed by lz4; unpack it: lz4 -d FILE"},
	{"\xff\xfe", "text in UTF-16; make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE"},
	{"\xfe\xff", "text in UTF-16; make UTF-8 of it: iconv -f UTF-16 -t UTF-8 FILE"},
}

// longestMagic is how many bytes tell what cannot be read.
const longestMagic = 10

// Compiled returns an *Error with the cure if name or the beginning of the file say that it is a rule set compiled for
// sing-box or mihomo, or packed or encoded in a way that cannot be read. Read sees to it, too.
func Compiled(name string, head []byte) error {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, ".srs"), bytes.HasPrefix(head, []byte(singBoxMagic)) && len(head) > 3 && head[3] < ' ':
		return &Error{Reason: "a compiled rule set of sing-box; make JSON of it: sing-box rule-set decompile FILE"}
	case strings.HasSuffix(name, ".mrs"), bytes.HasPrefix(head, []byte(mihomoMagic)):
		return &Error{Reason: "a compiled rule set of mihomo; take its publisher's text or YAML file instead"}
	}
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return &Error{Reason: f.reason}
		}
	}
	return nil
}

// Guess tells the format of a list from the beginning of it, up to the first 64 KiB and decompressed, and from its
// file name, which may be empty. ok is false if it cannot be told, and for what Compiled refuses. A Plain list does
// not say what its bare names mean: that remains to be asked.
func Guess(name string, head []byte) (f Format, ok bool) {
	switch {
	case Compiled(name, head) != nil:
		return "", false
	case isGeosite(head):
		return Geosite, true
	case bytes.IndexByte(head, 0) >= 0:
		return "", false
	}
	whole := len(head) < headSize
	head = trim(bytes.TrimPrefix(head, []byte(byteOrderMark)))
	if len(head) > 0 && head[0] == '{' {
		return SingBox, bytes.Contains(head, []byte(`"rules"`))
	}
	v := make(votes)
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\n"))
		if head == nil && !whole && len(v) > 0 {
			break // cut off, perhaps
		}
		if line = trim(line); isPayload(line) {
			return guessPayload(line, head), true
		}
		if vote := lineVote(line); vote != "" {
			v[vote]++
		}
	}
	return v.decide(path.Base(strings.ToLower(name)))
}

// isGeosite tells whether head begins like a GeoSiteList: an entry, and in it the name of a category, which the entry
// ends with or goes on after with another of its fields.
func isGeosite(head []byte) bool {
	entry, rest, ok := firstField(head)
	if !ok {
		return false
	}
	size, name, ok := firstField(rest)
	if !ok || size > uint64(len(name)) || !categoryName.Match(name[:size]) {
		return false
	}
	end := uint64(len(rest)-len(name)) + size
	next := name[size:]
	switch {
	case end > entry:
		return false
	case len(next) == 0:
		return true
	case end == entry:
		return next[0] == '\x0a'
	}
	return next[0] == '\x12' || next[0] == '\x1a' || next[0] == '\x22'
}

// firstField reads the beginning of a protobuf field of number 1: how long it is, and what is there of it.
func firstField(b []byte) (size uint64, rest []byte, ok bool) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		return 0, nil, false
	}
	size, m := protowire.ConsumeVarint(b[n:])
	if m < 0 {
		return 0, nil, false
	}
	return size, b[n+m:], true
}

var categoryName = regexp.MustCompile(`^[A-Za-z0-9!@._-]+$`)

// isPayload tells the key that a Clash rule provider in YAML begins with.
func isPayload(line []byte) bool { return bytes.HasPrefix(line, []byte("payload:")) }

// guessPayload tells the behaviour of a rule provider by its first item.
func guessPayload(line, rest []byte) Format {
	item := slices.Concat(bytes.TrimPrefix(line, []byte("payload:")), []byte("\n"), rest)
	if classicalGuess.Match(firstItem.ReplaceAll(item, nil)) {
		return ClashClassical
	}
	return ClashDomain
}

var (
	firstItem      = regexp.MustCompile(`^(\s|#.*\n|\[)*(-\s+)?['"]?`)
	classicalGuess = regexp.MustCompile(`^[A-Z][A-Z0-9-]+,`)
	v2flyGuess     = regexp.MustCompile(`^(?i:include|full|domain|regexp|keyword):|^[^\s#]+\s+[@&][-!A-Za-z0-9]`)
	dnsmasqGuess   = regexp.MustCompile(`^(--)?(server|local|address|ipset|nftset)\s*=\s*/`)
	adblockGuess   = regexp.MustCompile(`^(\|\||@@|\[Ad|\[uBlock)|\S#@?[$%?]*#`)
	nameGuess      = regexp.MustCompile(`^=?(\*\.)?([-\w\\]|[^\x00-\x7f])([-.\w\\]|[^\x00-\x7f])*$`)
)

// votes counts the lines that speak for each format, and under other words those that do not decide.
type votes map[Format]int

const (
	leadingDot Format = "leading dot" // ".x": Clash's, dnsmasq's, Surge's, and never the same
	junk       Format = "junk"
)

// lineVote tells for which format a line speaks; Plain for a name alone, "" for what is in lists of any format.
func lineVote(line []byte) Format {
	switch {
	case len(line) == 0:
		return ""
	case isComment(line):
		return ""
	case adblockGuess.Match(line):
		return Adblock
	case dnsmasqGuess.Match(line):
		return Dnsmasq
	case v2flyGuess.Match(line):
		return V2fly
	case classicalGuess.Match(line):
		return ClashClassical
	case bytes.HasPrefix(line, []byte("+.")):
		return ClashDomain
	}
	return wordVote(cutWord(line))
}

// wordVote does so for a line of names alone.
func wordVote(word, rest []byte) Format {
	named := len(rest) > 0 && !isComment(rest)
	if _, err := netip.ParseAddr(string(word)); err == nil {
		if named {
			return Hosts
		}
		return Plain
	}
	_, prefix := netip.ParsePrefix(string(word))
	switch {
	case named:
		return junk
	case prefix == nil, nameGuess.Match(word):
		return Plain
	case word[0] == '.' && nameGuess.Match(word[1:]):
		return leadingDot
	case bytes.HasPrefix(word, []byte("*.")), bytes.Contains(word, []byte(".*.")):
		return ClashDomain // a '*' where only Clash has one
	}
	return junk
}

// decide returns the one format that lines speak for. Names alone are in lists of most formats; lines of hosts files are
// in adblock's, too.
func (v votes) decide(name string) (Format, bool) {
	var found []Format
	for _, f := range []Format{Adblock, Dnsmasq, V2fly, ClashClassical, ClashDomain, Hosts} {
		if v[f] > 0 && (f != Hosts || v[Adblock] == 0) {
			found = append(found, f)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], v[found[0]] >= v[junk]
	case len(found) > 1:
		return "", false
	case v[leadingDot] > 0:
		return ClashDomain, strings.Contains(name, "clash") || strings.Contains(name, "mihomo")
	case v[Plain] > 0:
		return Plain, v[Plain] > v[junk]
	}
	for _, f := range []Format{Adblock, Dnsmasq, Hosts} {
		if strings.Contains(name, string(f)) && v[junk] == 0 {
			return f, true // nothing but comments
		}
	}
	return "", false
}
