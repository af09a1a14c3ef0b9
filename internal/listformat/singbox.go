package listformat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// maxVersion is the newest version of rule-sets that is read: sing-box 1.13's.
const maxVersion = 4

// What a field of a rule holds, for the fields that matter.
const (
	domainField  = "domain"
	suffixField  = "domain_suffix"
	keywordField = "domain_keyword"
	regexField   = "domain_regex"
	addressField = "ip_cidr"
)

// otherFields are those that make a rule more than a list of names and addresses, with the values that are as good as
// none. All others sing-box does not know, either.
var otherFields = map[string][]string{
	"query_type": {"[]"}, "network": {"[]"}, "source_ip_cidr": {"[]"}, "source_port": {"[]"}, "source_port_range": {"[]"},
	"port": {"[]"}, "port_range": {"[]"}, "process_name": {"[]"}, "process_path": {"[]"}, "process_path_regex": {"[]"},
	"package_name": {"[]"}, "package_name_regex": {"[]"}, "network_type": {"[]"}, "network_is_expensive": {"false"},
	"network_is_constrained": {"false"}, "network_interface_address": {"{}"}, "default_interface_address": {"[]"},
	"wifi_ssid": {"[]"}, "wifi_bssid": {"[]"}, "adguard_domain": {"[]"}, "invert": {"false"},
}

// singBoxList reads a rule-set in JSON, token by token.
type singBoxList struct {
	*reading
	json    tokens
	version string // as written; "" not seen
}

func readSingBox(r *reading) error {
	s := singBoxList{reading: r}
	if err := s.json.begin(r.in); err != nil {
		return err
	}
	if err := s.json.expect('{', "a rule-set is a JSON object with \"version\" and \"rules\""); err != nil {
		return err
	}
	if err := s.json.object(s.field); err != nil {
		return err
	}
	if s.version == "" {
		return &Error{Reason: `no "version" in it; a sing-box rule-set has one`}
	}
	return s.json.end()
}

// field reads one field of the rule-set.
func (s *singBoxList) field(name string) error {
	switch name {
	case "version":
		token, err := s.json.token()
		if err != nil {
			return err
		}
		number, _ := token.(json.Number)
		if len(number) != 1 || number[0] < '1' || number[0] > '0'+maxVersion {
			return s.json.fail(fmt.Sprintf("version %.20v is not known; 1 to %d are", token, maxVersion))
		}
		s.version = string(number)
		return nil
	case "rules":
		if err := s.json.expect('[', `"rules" is a list`); err != nil {
			return err
		}
		return s.json.array(func() error {
			if err := s.json.expect('{', "a rule is a JSON object"); err != nil {
				return err
			}
			return s.rule()
		})
	}
	s.skip("unknown field", s.json.line, []byte(name))
	_, err := s.json.skip()
	return err
}

// singBoxRule is one rule. Its patterns wait for its end: a field may follow that says more than names.
type singBoxRule struct {
	held   heldItems
	report Report // of this rule
	other  string // what else the rule looks at: the first one's word
	first  string // and name
	line   int    // where it stands
	empty  bool
}

// rule reads a rule. The fields for names and addresses are alternatives; any other one narrows them.
func (s *singBoxList) rule() error {
	rule := singBoxRule{empty: true}
	err := s.json.object(func(name string) error {
		switch name {
		case domainField, suffixField, keywordField, regexField, addressField:
			return s.values(&rule, name)
		case "type":
			return s.ruleType(&rule)
		}
		line := s.json.line
		value, err := s.json.skip()
		none, known := otherFields[name]
		switch {
		case err != nil || known && (value == "null" || slices.Contains(none, value)):
		case known:
			rule.narrow(name, name, line)
		default:
			rule.narrow("unknown field", name, line)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case rule.other != "":
		s.skip(rule.other, rule.line, []byte(rule.first))
		return nil
	case rule.empty:
		s.skip("empty rule", s.json.line, nil)
		return nil
	}
	for _, skipped := range rule.report.Skipped {
		s.report.add(skipped)
	}
	return rule.held.each(s.emit)
}

// narrow notes that a rule looks at more than names and addresses.
func (r *singBoxRule) narrow(kind, name string, line int) {
	if r.other == "" || kind == "logical" {
		r.other, r.first, r.line = kind, name, line
	}
}

// ruleType reads the type of a rule.
func (s *singBoxList) ruleType(rule *singBoxRule) error {
	text, ok, err := s.json.text()
	switch {
	case err != nil:
		return err
	case ok && text == "logical":
		rule.narrow("logical", "type", s.json.line)
	case !ok || text != "" && text != "default":
		rule.narrow("unknown type", text, s.json.line)
	}
	return nil
}

// values reads the value of a field: a list of texts, or one.
func (s *singBoxList) values(rule *singBoxRule, field string) error {
	one := func(token json.Token) error {
		if token == nil {
			return nil
		}
		rule.empty = false
		if text, ok := token.(string); ok {
			return s.value(rule, field, text)
		}
		rule.report.skip("bad value", s.json.line, field)
		return s.json.rest(token)
	}
	token, err := s.json.token()
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return one(token)
	}
	return s.json.array(func() error {
		token, err := s.json.token()
		if err != nil {
			return err
		}
		return one(token)
	})
}

// value takes one text of a field.
func (s *singBoxList) value(rule *singBoxRule, field, text string) error {
	kind := pattern.Exact
	name := text
	switch field {
	case keywordField, regexField:
		rule.report.skip(strings.TrimPrefix(field, "domain_"), s.json.line, text)
		return nil
	case addressField:
		p, ok := parsePrefix(text)
		if !ok {
			rule.report.skip("bad address", s.json.line, text)
			return nil
		}
		return rule.held.add(Item{Pattern: p, Line: s.json.line})
	case suffixField:
		// Since sing-box 1.9 a suffix without a dot is a name and those below it, in files of any version: 1.8, which
		// took it for a mere end of text, is not followed. That would be wider.
		kind = pattern.Suffix
		if rest, ok := strings.CutPrefix(text, "."); ok {
			kind, name = pattern.Subdomains, rest
		}
	}
	n, ok := parseName([]byte(name))
	if !ok {
		rule.report.skip("bad name", s.json.line, text)
		return nil
	}
	return rule.held.add(Item{Pattern: pattern.Pattern{Kind: kind, Name: n}, Line: s.json.line})
}

// parsePrefix reads an address or a prefix as sing-box and Clash do: bits beyond its length do not matter to them.
func parsePrefix(text string) (pattern.Pattern, bool) {
	if !strings.ContainsAny(text, ".:") || strings.Contains(text, "%") {
		return pattern.Pattern{}, false
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return pattern.Pattern{}, false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() && prefix.Bits() < 96 {
		return pattern.Pattern{}, false // would be more than IPv4's addresses
	}
	p, err := pattern.Parse(prefix.Masked().String())
	return p, err == nil
}

// writeSingBox writes a rule-set with one rule. Names and addresses stand in lists of their own, so that all but the
// first list are held in memory until it is written.
func writeSingBox(w *writing) error {
	lists := []*singBoxWriter{{field: domainField}, {field: suffixField}, {field: addressField}}
	for p := range w.patterns {
		list := lists[1]
		switch {
		case p.Kind == pattern.Default:
			w.skip(kindWord(p.Kind), p)
			continue
		case !spelt(p.Name):
			w.skip("escaped name", p)
			continue
		case p.Kind == pattern.Exact:
			list = lists[0]
		case p.Kind == pattern.Prefix:
			list = lists[2]
		}
		list.add(p)
		w.report.Items++
	}
	_, _ = w.out.WriteString("{\n  \"version\": 3,\n  \"rules\": [")
	open, end := "\n    {", "]\n}\n"
	for _, list := range lists {
		if list.values.Len() == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w.out, "%s\n      %q: [", open, list.field)
		_, _ = list.values.WriteTo(w.out)
		_, _ = w.out.WriteString("\n      ]")
		open, end = ",", "\n    }\n  ]\n}\n"
	}
	_, _ = w.out.WriteString(end)
	return nil
}

// singBoxWriter gathers one field's list.
type singBoxWriter struct {
	field  string
	values bytes.Buffer
}

// add adds a pattern, whose text needs no escapes in JSON.
func (l *singBoxWriter) add(p pattern.Pattern) {
	b := l.values.AvailableBuffer()
	if l.values.Len() > 0 {
		b = append(b, ',')
	}
	b = append(b, "\n        \""...)
	switch p.Kind {
	case pattern.Subdomains:
		b = p.Name.AppendTo(append(b, '.'))
	case pattern.Prefix:
		b = p.AppendTo(b)
	default:
		b = p.Name.AppendTo(b)
	}
	l.values.Write(append(b, '"'))
}
