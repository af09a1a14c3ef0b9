package listformat

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// clashItem reads one item of a rule provider.
type clashItem func(r *reading, text []byte, line int) error

func readClashDomain(r *reading) error    { return readClash(r, clashDomain) }
func readClashClassical(r *reading) error { return readClash(r, clashClassical) }

// readClash reads a rule provider in YAML, or in text if it does not begin as YAML does.
func readClash(r *reading, item clashItem) error {
	in := buffered(r.in)
	r.in = in
	yaml, err := beginsAsYAML(in)
	if err != nil {
		return err
	}
	if yaml {
		return readPayload(r, item)
	}
	return eachLine(in, func(number int, line []byte) error {
		if line[0] == '#' || bytes.HasPrefix(line, []byte("//")) {
			return nil
		}
		return item(r, line, number)
	})
}

// beginsAsYAML tells by the first line that is neither blank nor a comment, if it is within the buffer. Comments that
// fill it are of a text: YAML has few of them there.
func beginsAsYAML(in *bufio.Reader) (bool, error) {
	head, err := in.Peek(in.Size())
	if err != nil && !isEnd(err) {
		return false, err
	}
	for line := range bytes.Lines(bytes.TrimPrefix(head, []byte(byteOrderMark))) {
		line = trim(line)
		if len(line) > 0 && line[0] != '#' {
			return isPayload(line) || line[0] == '{' || bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("%YAML")), nil
		}
	}
	return false, nil
}

// clashDomain reads an item of the behaviour domain.
func clashDomain(r *reading, text []byte, line int) error {
	rest, below := bytes.CutPrefix(text, []byte("."))
	all, both := bytes.CutPrefix(text, []byte("+."))
	switch {
	case bytes.IndexByte(text, ',') >= 0:
		r.skip("classical rule", line, text)
		return nil
	case bytes.IndexByte(text, '*') >= 0:
		r.skip("wildcard", line, text)
		return nil
	case both:
		return r.clashName(pattern.Suffix, all, text, line)
	case below:
		return r.clashName(pattern.Subdomains, rest, text, line)
	}
	return r.clashName(pattern.Exact, text, text, line)
}

// clashName emits a pattern for the name that is a part of text. Names that end in a dot Clash refuses.
func (r *reading) clashName(kind pattern.Kind, name, text []byte, line int) error {
	n, ok := parseName(name)
	if !ok || name[len(name)-1] == '.' {
		r.skip("bad name", line, text)
		return nil
	}
	return r.emit(Item{Pattern: pattern.Pattern{Kind: kind, Name: n}, Line: line})
}

// classicalTypes are the types of rules that are neither of names nor of destinations' addresses, and the words by
// which they are counted.
var classicalTypes = wordSet(`DOMAIN-KEYWORD DOMAIN-REGEX DOMAIN-WILDCARD GEOSITE IP-SUFFIX IP-ASN GEOIP SRC-GEOIP SRC-IP-ASN
	SRC-IP-CIDR SRC-IP-SUFFIX DST-PORT SRC-PORT DEST-PORT IN-PORT IN-TYPE IN-USER IN-NAME PROCESS-PATH PROCESS-PATH-WILDCARD
	PROCESS-PATH-REGEX PROCESS-NAME PROCESS-NAME-WILDCARD PROCESS-NAME-REGEX UID NETWORK DSCP RULE-SET AND OR NOT SUB-RULE
	MATCH FINAL URL-REGEX USER-AGENT PROTOCOL IPSET SCRIPT`)

func wordSet(words string) map[string]string {
	set := map[string]string{}
	for _, word := range strings.Fields(words) {
		set[word] = strings.ToLower(word)
	}
	return set
}

// clashClassical reads an item of the behaviour classical: TYPE,VALUE[,PARAMETER...].
func clashClassical(r *reading, text []byte, line int) error {
	kind, rest, _ := bytes.Cut(text, []byte(","))
	value, params, _ := bytes.Cut(rest, []byte(","))
	value = trim(value)
	typ := strings.ToUpper(string(trim(kind[:min(len(kind), 64)])))
	word, other := classicalTypes[typ]
	switch {
	case typ == "DOMAIN" || typ == "DOMAIN-SUFFIX" || typ == "IP-CIDR" || typ == "IP-CIDR6":
	case other:
		r.skip(strings.TrimPrefix(word, "domain-"), line, text)
		return nil
	default:
		r.skip("unknown type", line, text)
		return nil
	}
	if word := paramsWord(params); word != "" {
		r.skip(word, line, text)
		return nil
	}
	switch typ {
	case "DOMAIN":
		return r.clashName(pattern.Exact, value, text, line)
	case "DOMAIN-SUFFIX":
		return r.clashName(pattern.Suffix, value, text, line)
	}
	p, ok := parsePrefix(string(value[:min(len(value), 64)]))
	if !ok {
		r.skip("bad address", line, text)
		return nil
	}
	return r.emit(Item{Pattern: p, Line: line})
}

// paramsWord returns by which word a rule with these parameters is counted; none if they change nothing for us.
func paramsWord(params []byte) string {
	for param := range bytes.SplitSeq(params, []byte(",")) {
		switch strings.ToLower(string(trim(param))) {
		case "", "no-resolve", "extended-matching":
		case "src":
			return "src-ip-cidr"
		default:
			return "unknown parameter" // a policy, or something that narrows the rule
		}
	}
	return ""
}

// writeClashDomain writes a payload of the behaviour domain.
func writeClashDomain(w *writing) error {
	return w.payload(func(b []byte, p pattern.Pattern) []byte {
		switch p.Kind {
		case pattern.Suffix:
			return append(p.Name.AppendTo(append(b, "'+."...)), '\'')
		case pattern.Subdomains:
			return append(p.Name.AppendTo(append(b, "'."...)), '\'')
		case pattern.Exact:
			return append(p.Name.AppendTo(append(b, '\'')), '\'')
		}
		return b
	})
}

// writeClashClassical writes a payload of the behaviour classical.
func writeClashClassical(w *writing) error {
	return w.payload(func(b []byte, p pattern.Pattern) []byte {
		switch {
		case p.Kind == pattern.Suffix:
			return p.Name.AppendTo(append(b, "DOMAIN-SUFFIX,"...))
		case p.Kind == pattern.Exact:
			return p.Name.AppendTo(append(b, "DOMAIN,"...))
		case p.Kind == pattern.Prefix && p.Prefix.Addr().Is4():
			return p.Prefix.AppendTo(append(b, "IP-CIDR,"...))
		case p.Kind == pattern.Prefix:
			return p.Prefix.AppendTo(append(b, "IP-CIDR6,"...))
		}
		return b
	})
}

// payload writes items as YAML.
func (w *writing) payload(item func(b []byte, p pattern.Pattern) []byte) error {
	_, _ = w.out.WriteString("payload:\n")
	return w.lines(false, func(b []byte, p pattern.Pattern) []byte {
		const lead = "  - "
		if b = item(append(b, lead...), p); len(b) == len(lead) {
			return b[:0]
		}
		return b
	})
}
