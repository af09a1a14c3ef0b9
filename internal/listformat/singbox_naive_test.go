package listformat

// A naive reading of sing-box rule-sets, written from ../../../shared/formats.md §5: of the whole file at once, as a
// tree.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// node is a JSON value as a whole: nothing, a text, a list, or pairs.
type node struct {
	what  byte // n, t, l, o, or 0 for all else
	text  string
	names []string // of pairs
	list  []node
	empty string // null, false, [] or {}
}

// parseNode reads a whole JSON value into a tree, with the fields of objects in their order.
func parseNode(raw json.RawMessage) node {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	switch raw[0] {
	case 'n':
		return node{what: 'n', empty: "null"}
	case 'f':
		return node{empty: "false"}
	case '"':
		n := node{what: 't'}
		_ = json.Unmarshal(raw, &n.text)
		return n
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list)
		n := node{what: 'l'}
		for _, v := range list {
			n.list = append(n.list, parseNode(v))
		}
		if len(list) == 0 {
			n.empty = "[]"
		}
		return n
	case '{':
		n := node{what: 'o', empty: "{}"}
		d := json.NewDecoder(bytes.NewReader(raw))
		_, _ = d.Token()
		for d.More() {
			name, _ := d.Token()
			var v json.RawMessage
			_ = d.Decode(&v)
			n.names, n.list, n.empty = append(n.names, name.(string)), append(n.list, parseNode(v)), ""
		}
		return n
	}
	return node{text: string(raw)}
}

func (n node) depth() int {
	most := 0
	for _, v := range n.list {
		most = max(most, v.depth())
	}
	if n.what == 'l' || n.what == 'o' {
		most++
	}
	return most
}

// naiveSingBox reads a rule-set as a whole to formats.md §5.
func naiveSingBox(text []byte) (*outcome, bool) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !json.Valid(text) {
		return nil, false
	}
	root, out := parseNode(text), newOutcome()
	if root.what != 'o' || root.depth() > 100 {
		return nil, false
	}
	versions := 0
	for i, name := range root.names {
		v := root.list[i]
		switch name {
		case "version":
			versions++
			if v.what != 0 || !slices.Contains([]string{"1", "2", "3", "4"}, strings.TrimRight(v.text, " \r\n\t")) {
				return nil, false
			}
		case "rules":
			if v.what != 'l' {
				return nil, false
			}
			for _, rule := range v.list {
				if rule.what != 'o' {
					return nil, false
				}
				out.naiveRule(rule)
			}
		default:
			out.skip("unknown field", 0)
		}
	}
	return out, versions > 0
}

// nothingWith are the known fields that narrow a rule, and what they may hold without doing so.
var nothingWith = func() map[string]string {
	out := map[string]string{"invert": "false", "network_is_expensive": "false", "network_is_constrained": "false", "network_interface_address": "{}"}
	for _, name := range strings.Fields(`query_type network source_ip_cidr source_port source_port_range port port_range process_name process_path
		process_path_regex package_name package_name_regex network_type default_interface_address wifi_ssid wifi_bssid adguard_domain`) {
		out[name] = "[]"
	}
	return out
}()

func (o *outcome) naiveRule(rule node) {
	part, others, empty := newOutcome(), []string{}, true
	for i, name := range rule.names {
		v := rule.list[i]
		nothing, known := nothingWith[name]
		values := []node{v}
		if v.what == 'l' {
			values = v.list
		}
		switch {
		case known && (v.empty == "null" || v.empty == nothing && nothing != ""):
		case known:
			others = append(others, name)
		case name == "type" && v.what == 't' && (v.text == "" || v.text == "default"):
		case name == "type" && v.what == 't' && v.text == "logical":
			others = slices.Insert(others, 0, "logical")
		case name == "type":
			others = append(others, "unknown type")
		case !slices.Contains([]string{"domain", "domain_suffix", "domain_keyword", "domain_regex", "ip_cidr"}, name):
			others = append(others, "unknown field")
		default:
			for _, value := range values {
				empty = empty && value.what == 'n'
				part.naiveValue(name, value)
			}
		}
	}
	switch {
	case len(others) > 0:
		o.skip(others[0], 0)
	case empty:
		o.skip("empty rule", 0)
	default:
		o.Items = append(o.Items, part.Items...)
		for kind, count := range part.Count {
			o.Count[kind] += count
		}
	}
}

func (o *outcome) naiveValue(field string, v node) {
	switch {
	case v.what == 'n':
	case v.what != 't':
		o.skip("bad value", 0)
	case field == "domain_keyword" || field == "domain_regex":
		o.skip(strings.TrimPrefix(field, "domain_"), 0)
	case field == "ip_cidr":
		o.naivePrefix(v.text, 0)
	case field == "domain":
		o.name(pattern.Exact, v.text, false, 0)
	case strings.HasPrefix(v.text, "."):
		o.name(pattern.Subdomains, v.text[1:], false, 0)
	default:
		o.name(pattern.Suffix, v.text, false, 0)
	}
}

// naivePrefix reads an address, or a prefix whose further bits do not matter.
func (o *outcome) naivePrefix(text string, line int) {
	bits := ""
	host, length, ok := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(host)
	if ok {
		bits = "/" + length
	} else if err == nil {
		bits = fmt.Sprint("/", addr.BitLen())
	}
	prefix, err2 := netip.ParsePrefix(host + bits)
	if err == nil && addr.Is4In6() && err2 == nil {
		if prefix.Bits() < 96 {
			err2 = errors.New("wider than IPv4")
		} else {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
	}
	if err != nil || err2 != nil {
		o.skip("bad address", line)
		return
	}
	o.Items = append(o.Items, Item{Pattern: pattern.Pattern{Kind: pattern.Prefix, Prefix: prefix.Masked()}, Line: line})
}
