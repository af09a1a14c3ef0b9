package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

type flushResult struct {
	Forgotten int `json:"forgotten"`
}

func (a *app) flush() *cobra.Command {
	return &cobra.Command{
		Use:   "flush [NAME|ADDRESS|PREFIX]",
		Short: "Forget learnt names: all, those of a name, or those of an address; exit 1 if there were none",
		Long: `Forgets learnt names, and prints how many. A name is a pattern as in rules: example.com is it and its subdomains,
=example.com exactly it, *.example.com its subdomains. An address, or a prefix such as 192.0.2.0/24, is that of the
destination. Rules stay, and so do open connections; a connection to a forgotten address is steered again once its
name is asked for again: restart programs that cache, or run domain-route start.`,
		Args:              args(0, 1),
		ValidArgsFunction: completePatterns,
		RunE: func(_ *cobra.Command, given []string) error {
			var match func(dataplane.Learnt) bool
			var err error
			if len(given) == 1 {
				if match, err = matching(given[0]); err != nil {
					return err
				}
			}
			return withSystem(func(s *dataplane.System) error { return a.forget(s, match) })
		},
	}
}

// forget forgets what matches, or with nil everything.
func (a *app) forget(s *dataplane.System, match func(dataplane.Learnt) bool) error {
	var n int
	var err error
	if match == nil {
		n, err = s.ForgetAll()
	} else {
		n, err = s.Forget(match)
	}
	if err != nil {
		return err
	}
	if err := a.print("Flush", flushResult{n}, func() { fmt.Fprintf(a.Stdout, "forgotten: %d\n", n) }); err != nil {
		return err
	}
	if n == 0 {
		return errNo
	}
	return nil
}

// cutPrefix cuts what can only be meant for a prefix. What is wrong with other text is a pattern's to say.
func cutPrefix(text string) (addr, length string, isPrefix bool) {
	at := strings.LastIndexByte(text, '/')
	if at < 0 {
		return "", "", false
	}
	addr, length = text[:at], text[at+1:]
	_, noAddr := netip.ParseAddr(addr)
	return addr, length, noAddr == nil || strings.Trim(length, "0123456789") == ""
}

// parsePrefix reads a prefix; that of mapped IPv4 addresses is the one of the addresses.
func parsePrefix(addr, length string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(addr + "/" + length)
	mapped := prefix.Addr().Is4In6()
	if err != nil || mapped && prefix.Bits() < 96 {
		return prefix, usageError{fmt.Errorf("%q is no prefix of addresses", addr+"/"+length)}
	}
	if mapped {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix, nil
}

// matching says which learnt names an argument of flush or rdns is about.
func matching(text string) (func(dataplane.Learnt) bool, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return nil, usageError{fmt.Errorf("%q has a zone, and link-local addresses are not learnt; give an address without", text)}
		}
		addr = addr.Unmap()
		return func(l dataplane.Learnt) bool { return l.Address == addr }, nil
	}
	if addr, length, isPrefix := cutPrefix(text); isPrefix {
		prefix, err := parsePrefix(addr, length)
		return func(l dataplane.Learnt) bool { return prefix.Contains(l.Address) }, err
	}
	p, err := pattern.Parse(text)
	if err != nil {
		return nil, err
	}
	return func(l dataplane.Learnt) bool { return l.Name != "" && p.Matches(l.Name) }, nil
}
