package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// subject is what is to be explained: a name, or an address.
type subject struct {
	given string
	name  pattern.Name // empty: an address
	addr  netip.Addr
	port  string // that was given, and does not matter
}

func (s subject) String() string {
	if s.name != "" {
		return s.name.String()
	}
	return s.addr.String()
}

// parseSubject reads a name in any script, an address, a URL, or either of the former with a port.
func parseSubject(given string) (subject, error) {
	s := subject{given: given}
	if given == "" {
		return s, usageError{errors.New("give a name, an address or a URL, and not nothing")}
	}
	if prefix, err := netip.ParsePrefix(given); err == nil {
		if s.addr = prefix.Addr().Unmap(); !prefix.IsSingleIP() {
			return s, usageError{fmt.Errorf("%s is many addresses; give one, such as %v", given, prefix.Addr())}
		}
		return s, nil
	}
	host, err := s.host()
	if err != nil {
		return s, usageError{err}
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		s.addr = a.Unmap().WithZone("")
		return s, nil
	}
	if err := notPattern(host); err != nil {
		return s, err
	}
	if s.name, err = pattern.ParseName(host); err != nil {
		return s, err
	}
	if endsInNumber(s.name) {
		return s, usageError{fmt.Errorf("%.80q is no name: what ends in a number, programs take for an IPv4 address; give it in four parts", given)}
	}
	return s, nil
}

// host takes what was given apart.
func (s *subject) host() (string, error) {
	host := s.given
	if strings.HasPrefix(host, "//") {
		host = "any:" + host
	}
	if strings.Contains(host, "://") {
		u, err := url.Parse(host)
		if err != nil || u.Hostname() == "" {
			return "", fmt.Errorf("no host in the URL %.80q", s.given)
		}
		s.port = u.Port()
		return u.Hostname(), nil
	}
	host, _, _ = strings.Cut(host, "/")
	bare, port, err := net.SplitHostPort(host)
	if err != nil {
		return host, nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("%.80q: what is behind the colon is no port, a number up to 65535", s.given)
	}
	s.port = port
	return bare, nil
}

// endsInNumber tells whether a name's last label is a number, decimal or hexadecimal: inet_aton reads that as an address.
func endsInNumber(n pattern.Name) bool {
	labels := n.Labels()
	if len(labels) == 0 {
		return false
	}
	last := labels[len(labels)-1]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// notPattern refuses what is for several names.
func notPattern(host string) error {
	exact := strings.TrimPrefix(host, "=")
	below, wild := strings.CutPrefix(exact, "*.")
	switch {
	case host == "default" || host == ".":
		return usageError{errors.New("give a name or an address: the default rule is for those that no other rule is for")}
	case wild && below != "":
		return usageError{fmt.Errorf("%.80q is a pattern; give a name, such as www.%.80s", host, below)}
	case exact != host && exact != "":
		return usageError{fmt.Errorf("%.80q is a pattern; give a name, such as %.80s", host, exact)}
	}
	return nil
}
