package listformat

import (
	"bytes"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// readDnsmasq reads the options of dnsmasq that are about names, whatever they do to them:
//
//	server=/x/y/192.0.2.53   x and y with their subdomains; local=, address=, ipset= and nftset= likewise
//	server=/.x/192.0.2.53    the same
//	server=/*.x/192.0.2.53   x's subdomains
//	server=/x/#              an exception: x goes the usual way, whatever else is said of x; local= likewise
//
// "/*x/" is every name that ends in these letters, "/#/" any, "//" all names without a dot: counted. So are all other
// options. '#' begins a comment, at the start of a line or after white space.
func readDnsmasq(r *reading) error {
	return r.excepting(false, func(r *reading, c *class) error {
		return eachLine(r.in, func(number int, line []byte) error { return r.dnsmasqLine(c, number, line) })
	})
}

// dnsmasqLine emits the names of a line, and says in c whether they are exceptions.
func (r *reading) dnsmasqLine(c *class, number int, line []byte) error {
	line = cutComment(line)
	if len(line) == 0 {
		return nil
	}
	key, value, _ := bytes.Cut(bytes.TrimPrefix(line, []byte("--")), []byte("="))
	key, value = trim(key), trim(value)
	if !isDnsmasqKey(string(key)) || len(value) == 0 || value[0] != '/' {
		r.skip("other option", number, line)
		return nil
	}
	end := bytes.LastIndexByte(value, '/')
	if end == 0 {
		r.skip("bad name", number, line)
		return nil
	}
	*c = 0
	if string(trim(value[end+1:])) == "#" && (string(key) == "server" || string(key) == "local") {
		*c = exception
	}
	return r.dnsmasqNames(number, value[1:end])
}

func isDnsmasqKey(key string) bool {
	switch key {
	case "server", "local", "address", "ipset", "nftset":
		return true
	}
	return false
}

// cutComment returns line, which is trimmed, without the comment that begins at its start or after white space.
func cutComment(line []byte) []byte {
	for i, c := range line {
		if c == '#' && (i == 0 || isWhite(line[i-1])) {
			return trim(line[:i])
		}
	}
	return line
}

// dnsmasqNames emits the names between the slashes.
func (r *reading) dnsmasqNames(number int, names []byte) error {
	for more := true; more; {
		var name []byte
		name, names, more = bytes.Cut(names, []byte("/"))
		kind := pattern.Suffix
		switch {
		case len(name) == 0:
			r.skip("names without dots", number, []byte("//"))
			continue
		case string(name) == "#":
			r.skip("any name", number, []byte("/#/"))
			continue
		case bytes.HasPrefix(name, []byte("*.")):
			kind, name = pattern.Subdomains, name[2:]
		case name[0] == '*':
			r.skip("string suffix", number, name)
			continue
		case name[0] == '.':
			name = name[1:]
		}
		if err := r.name(kind, name, number); err != nil {
			return err
		}
	}
	return nil
}

// writeDnsmasq writes a line of WriteOptions.Value for each name with its subdomains, and for subdomains alone, which
// dnsmasq knows since 2.86.
func writeDnsmasq(w *writing) error {
	key, rest, ok := strings.Cut(w.o.Value, "=")
	set := strings.HasSuffix(key, "set")
	if !ok || !isDnsmasqKey(key) || set && rest == "" || strings.ContainsAny(rest, "/"+white+"\n\x00") {
		return &Error{Reason: "dnsmasq needs to be told what to do with the names: server=192.0.2.53, ipset=SET, nftset=4#inet#TABLE#SET, ..."}
	}
	return w.lines(false, func(b []byte, p pattern.Pattern) []byte {
		dot := ""
		switch p.Kind {
		case pattern.Suffix:
		case pattern.Subdomains:
			dot = "*."
		default:
			return b
		}
		b = append(append(append(b, key...), "=/"...), dot...)
		return append(append(p.Name.AppendTo(b), '/'), rest...)
	})
}
