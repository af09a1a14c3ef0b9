package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
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
	host := given
	if prefix, err := netip.ParsePrefix(given); err == nil {
		return s, usageError{fmt.Errorf("%s is many addresses; give one, such as %v", given, prefix.Addr())}
	}
	if strings.Contains(host, "://") {
		u, err := url.Parse(host)
		if err != nil || u.Hostname() == "" {
			return s, usageError{fmt.Errorf("no host in the URL %.80q", given)}
		}
		host, s.port = u.Hostname(), u.Port()
	} else {
		host, _, _ = strings.Cut(host, "/")
		if bare, port, err := net.SplitHostPort(host); err == nil {
			host, s.port = bare, port
		}
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		s.addr = a.Unmap().WithZone("")
		return s, nil
	}
	if err := notPattern(host); err != nil {
		return s, err
	}
	var err error
	s.name, err = pattern.ParseName(host)
	return s, err
}

// notPattern refuses what is for several names.
func notPattern(host string) error {
	of := strings.TrimPrefix(strings.TrimPrefix(host, "="), "*.")
	switch {
	case host == "default" || host == ".":
		return usageError{errors.New("give a name or an address: the default rule is for those that no other rule is for")}
	case of != host && of != "":
		return usageError{fmt.Errorf("%.80q is a pattern; give a name, such as %.80s", host, strings.Replace(host, "*.", "www.", 1)[len(host)-len(strings.TrimPrefix(host, "=")):])}
	}
	return nil
}
