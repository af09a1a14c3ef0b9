package listformat

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// readHosts reads lines of an address and names for it, as in /etc/hosts. Which address it is does not matter. Each
// name is taken exactly; those that a hosts file gives the host itself are counted. '#' begins a comment anywhere.
func readHosts(r *reading) error {
	return eachLine(r.in, func(number int, line []byte) error {
		if isHosts, err := r.hostsLine(number, line); isHosts || err != nil {
			return err
		}
		if line[0] != '#' {
			r.skip("no address", number, line)
		}
		return nil
	})
}

// hostsLine emits the names of a line that begins with an address, and tells whether it does.
func (r *reading) hostsLine(number int, line []byte) (bool, error) {
	if c := line[0]; !isHex(c) && c != ':' {
		return false, nil // most lines of other formats, told cheaply
	}
	text, _, _ := bytes.Cut(line, []byte("#"))
	word, rest := cutWord(trim(text))
	if _, err := netip.ParseAddr(string(word)); err != nil {
		return false, nil
	}
	if len(rest) == 0 {
		r.skip("no name", number, line)
	}
	for len(rest) > 0 {
		word, rest = cutWord(rest)
		if isHostsOwn(string(word)) {
			r.skip("host's own name", number, word)
			continue
		}
		if err := r.name(pattern.Exact, word, number); err != nil {
			return true, err
		}
	}
	return true, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isHostsOwn tells the names by which hosts files call the host they are on and its networks.
func isHostsOwn(name string) bool {
	switch name = strings.ToLower(strings.TrimSuffix(name, ".")); name {
	case "localhost", "localhost.localdomain", "localhost4", "localhost6", "localhost4.localdomain4",
		"localhost6.localdomain6", "local", "loopback", "broadcasthost", "0.0.0.0":
		return true
	}
	return strings.HasPrefix(name, "ip6-") && !strings.Contains(name, ".")
}

// writeHosts writes a line for each exact pattern; nothing else can be said in a hosts file.
func writeHosts(w *writing) error {
	return w.lines(false, func(b []byte, p pattern.Pattern) []byte {
		if p.Kind != pattern.Exact || isHostsOwn(p.Name.String()) {
			return b
		}
		return p.Name.AppendTo(append(b, "0.0.0.0 "...))
	})
}
