package listformat

// Naive readings of the formats of one entry a line, written from ../../../shared/formats.md with regular expressions
// and nothing of the readers: what tests and fuzzing compare these with.

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domain-route/domain-route/internal/pattern"
)

// samePattern compares patterns as wholes.
var samePattern = cmpopts.EquateComparable(pattern.Pattern{})

// outcome is all that is compared of a reading.
type outcome struct {
	Items   []Item
	Skipped map[string][]int // every line number; a reader's are cut to the first maxLines
	Count   map[string]int
	ErrLine int // of the *Error, 0 if none

	Rank map[int]int // of the lines of formats with exceptions, until these are gone by: see naiveStanding
}

func newOutcome() *outcome {
	return &outcome{Skipped: map[string][]int{}, Count: map[string]int{}, Rank: map[int]int{}}
}

func (o *outcome) skip(kind string, line int) {
	o.Skipped[kind] = append(o.Skipped[kind], line)
	o.Count[kind]++
}

// naive reads one line, which is trimmed and not blank.
type naive func(o *outcome, exact bool, number int, line string)

// naiveLines gives the lines of a text to read, until one that is no text.
func naiveLines(text string, exact bool, read naive) *outcome {
	o := newOutcome()
	for i, line := range strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n") {
		if strings.Contains(line, "\x00") || len(strings.TrimSuffix(line, "\r")) > 65536 {
			o.ErrLine = i + 1
			break
		}
		if line = strings.Trim(line, " \t\v\f\r"); line != "" {
			read(o, exact, i+1, line)
		}
	}
	for kind, lines := range o.Skipped {
		o.Skipped[kind] = lines[:min(len(lines), 5)]
	}
	return o
}

// naiveStanding leaves the items that no other takes back, by rank: 1 is an exception, 2 important, 4 takes away.
func (o *outcome) naiveStanding(f Format) {
	if o.ErrLine > 0 && (f == Adblock || f == Dnsmasq) {
		o.Items = nil // what stands is not known
	}
	gone := make([]bool, len(o.Items))
	for i, item := range o.Items {
		for _, other := range o.Items {
			gone[i] = gone[i] || o.Rank[item.Line] >= 4 || other.Pattern == item.Pattern && o.Rank[other.Line] == o.Rank[item.Line]+4
		}
	}
	var standing [4][]Item
	for i, item := range o.Items {
		rank, beaten := o.Rank[item.Line], gone[i]
		for j, other := range o.Items {
			above := o.Rank[other.Line] - rank
			reaches := other.Pattern == item.Pattern
			if f == Adblock && item.Pattern.Kind != pattern.Prefix {
				reaches = other.Pattern.Matches(item.Pattern.Name)
			}
			beaten = beaten || !gone[j] && reaches && (above == 1 || above == 3)
		}
		if !beaten {
			standing[rank] = append(standing[rank], item)
		}
	}
	o.Items, o.Rank = slices.Concat(standing[:]...), map[int]int{}
}

var (
	asciiName = regexp.MustCompile(`^([0-9A-Za-z_-]{1,63}\.)*[0-9A-Za-z_-]{1,63}\.?$`)
	onlyDigit = regexp.MustCompile(`^[0-9.]+$`)
)

// naiveName reads a name without any sign before it. What is not ASCII is IDNA's.
func naiveName(text string) (pattern.Name, bool) {
	if strings.Contains(text, `\`) {
		return "", false
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > 127 }) {
		n, err := pattern.ParseName(text)
		return n, err == nil && n != pattern.Root && !onlyDigit.MatchString(n.String())
	}
	if !asciiName.MatchString(text) || onlyDigit.MatchString(text) {
		return "", false
	}
	wire := ""
	for label := range strings.SplitSeq(strings.ToLower(strings.TrimSuffix(text, ".")), ".") {
		wire += string([]byte{byte(len(label))}) + label
	}
	return pattern.Name(wire + "\x00"), len(wire) < 255
}

func (o *outcome) name(kind pattern.Kind, text string, exception bool, number int) {
	if n, ok := naiveName(text); ok {
		o.Items = append(o.Items, Item{Pattern: pattern.Pattern{Kind: kind, Name: n}, Exception: exception, Line: number})
	} else {
		o.skip("bad name", number)
	}
}

const blank = `[ \t\v\f\r]`

var (
	plainLine = regexp.MustCompile(`^([^ \t\v\f\r]+)(` + blank + `+[#!;](?s:.*))?$`)
	dotted    = regexp.MustCompile(`^\..`)
)

func naivePlain(o *outcome, exact bool, number int, line string) {
	if strings.ContainsAny(line[:1], "#!;") {
		return
	}
	m := plainLine.FindStringSubmatch(line)
	switch {
	case m == nil:
		o.skip("several words", number)
	case dotted.MatchString(m[1]):
		o.skip("leading dot", number)
	case strings.ToLower(m[1]) == "default", m[1] == ".":
		o.skip("default", number)
	case strings.ContainsAny(m[1], `\:/`), onlyDigit.MatchString(m[1]): // ours alone
		p, err := pattern.Parse(m[1])
		if err != nil {
			o.skip("bad name", number)
			return
		}
		if exact && p.Kind == pattern.Suffix {
			p.Kind = pattern.Exact
		}
		o.Items = append(o.Items, Item{Pattern: p, Line: number})
	case strings.HasPrefix(m[1], "="):
		o.name(pattern.Exact, m[1][1:], false, number)
	case strings.HasPrefix(m[1], "*."):
		o.name(pattern.Subdomains, m[1][2:], false, number)
	case exact:
		o.name(pattern.Exact, m[1], false, number)
	default:
		o.name(pattern.Suffix, m[1], false, number)
	}
}

var (
	own          = regexp.MustCompile(`^(?i:localhost[46]?|localhost\.localdomain|localhost4\.localdomain4|localhost6\.localdomain6|local|loopback|broadcasthost|0\.0\.0\.0|ip6-[^.]*)\.?$`)
	hostsComment = regexp.MustCompile(`(?s)#.*`)
)

// naiveHostsLine tells whether the line begins with an address.
func naiveHostsLine(o *outcome, number int, line string) bool {
	words := strings.FieldsFunc(hostsComment.ReplaceAllString(line, ""), func(r rune) bool {
		return strings.ContainsRune(" \t\v\f\r", r)
	})
	if len(words) == 0 {
		return false
	}
	if _, err := netip.ParseAddr(words[0]); err != nil {
		return false
	}
	if len(words) == 1 {
		o.skip("no name", number)
	}
	for _, w := range words[1:] {
		if own.MatchString(w) {
			o.skip("host's own name", number)
		} else {
			o.name(pattern.Exact, w, false, number)
		}
	}
	return true
}

func naiveHosts(o *outcome, _ bool, number int, line string) {
	if !naiveHostsLine(o, number, line) && !strings.HasPrefix(line, "#") {
		o.skip("no address", number)
	}
}

var (
	dnsmasqComment = regexp.MustCompile(`(?s)(^|` + blank + `)#.*`)
	dnsmasqLine    = regexp.MustCompile(`(?s)^(?:--)?` + blank + `*(server|local|address|ipset|nftset)` + blank + `*=` + blank + `*/(?:(.*)/)?([^/]*)$`)
)

func naiveDnsmasq(o *outcome, _ bool, number int, line string) {
	line = strings.TrimRight(dnsmasqComment.ReplaceAllString(line, ""), " \t\v\f\r")
	if line == "" {
		return
	}
	m := dnsmasqLine.FindStringSubmatchIndex(line)
	if m == nil {
		o.skip("other option", number)
		return
	}
	if m[4] < 0 {
		o.skip("bad name", number)
		return
	}
	key := line[m[2]:m[3]]
	exception := (key == "server" || key == "local") && strings.Trim(line[m[6]:m[7]], " \t\v\f\r") == "#"
	if exception {
		o.Rank[number] = 1
	}
	for _, name := range strings.Split(line[m[4]:m[5]], "/") {
		switch {
		case name == "":
			o.skip("names without dots", number)
		case name == "#":
			o.skip("any name", number)
		case strings.HasPrefix(name, "*."):
			o.name(pattern.Subdomains, name[2:], exception, number)
		case strings.HasPrefix(name, "*"):
			o.skip("string suffix", number)
		default:
			o.name(pattern.Suffix, strings.TrimPrefix(name, "."), exception, number)
		}
	}
}

var (
	adblockSuffix   = regexp.MustCompile(`(?s)^(@@)?\|\|([^|*/$]*)\^(\$(?:important|badfilter|important,badfilter|badfilter,important))?$`)
	adblockPart     = regexp.MustCompile(`^[-.]|[-.]$|[-.]\.|\.-`)
	adblockComment  = regexp.MustCompile(`(?s)^([^|@ \t\v\f\r][^ \t\v\f\r]*)` + blank + `+#.*`)
	adblockIgnored  = regexp.MustCompile(`(?s)^([!#].*|\[.*\])$`)
	adblockStands   = regexp.MustCompile(`^(!#(if|include)\b|(##|#@#|#\?#|#@\?#|#\$#|#@\$#|#%#|#@%#|#\$\?#|#@\$\?#)#?[^# \t\v\f\r])`)
	adblockCosmetic = regexp.MustCompile(`.#@?[$%?]*#`)
)

// naiveAdblock calls all rules that are about no whole name "rule".
func naiveAdblock(o *outcome, _ bool, number int, line string) {
	if adblockStands.MatchString(line) {
		o.skip("rule", number)
		return
	}
	if naiveHostsLine(o, number, line) || adblockIgnored.MatchString(line) {
		return
	}
	if adblockCosmetic.MatchString(line) {
		o.skip("rule", number)
		return
	}
	line = adblockComment.ReplaceAllString(line, "$1")
	m := adblockSuffix.FindStringSubmatch(line)
	switch {
	case m != nil:
		for sign, rank := range map[string]int{"@@": 1, "important": 2, "badfilter": 4} {
			if strings.Contains(m[1]+m[3], sign) {
				o.Rank[number] += rank
			}
		}
		if a, err := netip.ParseAddr(m[2]); err == nil && !strings.Contains(m[2], "%") {
			p, err := pattern.Parse(a.Unmap().String())
			if err != nil {
				panic(err)
			}
			o.Items = append(o.Items, Item{Pattern: p, Exception: m[1] != "", Line: number})
			return
		}
		o.name(pattern.Suffix, m[2], m[1] != "", number)
	case adblockPart.MatchString(line):
		o.skip("rule", number)
	case strings.HasPrefix(line, "@@") || strings.ContainsAny(line, "$*/|^"):
		o.skip("rule", number)
	default:
		o.name(pattern.Exact, line, false, number)
	}
}

// adblockRules are the kinds that naiveAdblock does not tell apart.
var adblockRules = []string{"cosmetic", "directive", "regexp", "modifier", "wildcard", "path", "anchored", "part of a name"}

// read reads a text and returns what is compared of it.
func read(t testing.TB, text string, o Options) *outcome {
	t.Helper()
	out := newOutcome()
	report, err := Read(strings.NewReader(text), o, func(i Item) error {
		out.Items = append(out.Items, i)
		return nil
	})
	var bad *Error
	if errors.As(err, &bad) {
		out.ErrLine = bad.Line
	} else if err != nil {
		t.Errorf("error is %v, want an *Error", err)
	}
	if report.Items != len(out.Items) {
		t.Errorf("report says %d items, there are %d", report.Items, len(out.Items))
	}
	for _, s := range report.Skipped {
		kind := s.Kind
		if o.Format == Adblock && slices.Contains(adblockRules, kind) {
			kind = "rule"
		}
		out.Count[kind] += s.Count
		out.Skipped[kind] = append(out.Skipped[kind], s.Lines...)
	}
	for kind, lines := range out.Skipped {
		slices.Sort(lines)
		out.Skipped[kind] = lines[:min(len(lines), 5)]
	}
	return out
}

var foreignList = regexp.MustCompile(`^(SRS|MRS|BZh91AY|PK\x03\x04|7z|\x04"M\x18|[^\x00-\x7f]7zXZ)`)

// differ fails t if the reader and the naive reading make different things of text.
func differ(t *testing.T, text string, o Options, read1 naive) {
	t.Helper()
	if foreignList.MatchString(text) || strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return // refused as a whole
	}
	want := naiveLines(text, o.Exact, read1)
	want.naiveStanding(o.Format)
	if diff := cmp.Diff(want, read(t, text, o), samePattern, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("of %.2000q (-naive +read):\n%s", text, diff)
	}
}
