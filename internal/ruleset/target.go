// Package ruleset holds targets, conditions, rules and rule sets: matching, text and binary form, differences, rules that
// do nothing, and the compiled form the kernel side looks names and addresses up in. It does no I/O.
package ruleset

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// End is how a chain ends when none of its interfaces exists.
type End uint8

// The ends of a chain: refuse the connection, or leave the socket alone.
const (
	EndBlock End = iota
	EndDirect
)

// TargetKind is what a target does with a socket.
type TargetKind uint8

// The kinds of target. The zero value is no target.
const (
	Interface TargetKind = iota + 1 // leave by the first interface of a chain that exists
	Direct                          // leave the socket alone
	Block                           // refuse the connection
	Mark                            // set the socket's mark, for the user's own routing rules
)

// MaxChain is how many interfaces a chain can name.
const MaxChain = 4

// maxInterface is the length of an interface name in bytes (IFNAMSIZ - 1).
const maxInterface = 15

// Target is where a rule sends sockets. Targets are comparable. Interfaces is used
// by the kind Interface only: filled from the front, unused entries "". Mark is used
// by the kind Mark only, and not 0: that is what unmarked sockets have.
type Target struct {
	Kind       TargetKind
	Interfaces [MaxChain]string
	End        End
	Mark       uint32
}

// TargetError tells why a text is no target.
type TargetError struct {
	Input  string
	Reason string
}

// Error quotes the input.
func (e *TargetError) Error() string { return fmt.Sprintf("target %.80q: %s", e.Input, e.Reason) }

const (
	wordDirect = "direct"
	wordBlock  = "block"
	wordMark   = "mark:"
)

// ParseTarget reads "direct", "block", "mark:N" with N in decimal or as 0x..., an
// interface name, or up to MaxChain of them joined by commas, with "direct" or
// "block" at the end or not. Errors are *TargetError.
func ParseTarget(s string) (Target, error) {
	t, reason := parseTarget(s)
	if reason != "" {
		return Target{}, &TargetError{s, reason}
	}
	return t, nil
}

func parseTarget(s string) (Target, string) {
	switch {
	case s == "":
		return Target{}, "empty"
	case s == wordDirect:
		return Target{Kind: Direct}, ""
	case s == wordBlock:
		return Target{Kind: Block}, ""
	case strings.HasPrefix(s, wordMark):
		return parseMark(strings.TrimPrefix(s, wordMark))
	}
	t := Target{Kind: Interface}
	n := 0
	for rest, more := s, true; more; {
		var word string
		word, rest, more = strings.Cut(rest, ",")
		if word == wordDirect || word == wordBlock {
			if more || n == 0 {
				return Target{}, fmt.Sprintf("%q can only end a chain", word)
			}
			if word == wordDirect {
				t.End = EndDirect
			}
			break
		}
		if reason := t.addInterface(n, word); reason != "" {
			return Target{}, reason
		}
		n++
	}
	return t, ""
}

// parseMark reads a mark's number: without a sign, underscores or leading zeros,
// which one would read as octal and another as decimal.
func parseMark(number string) (Target, string) {
	digits, base := number, 10
	if hex, ok := strings.CutPrefix(number, "0x"); ok {
		digits, base = hex, 16
	} else if len(number) > 1 && number[0] == '0' {
		return Target{}, "the mark has a leading zero; write it in decimal, or in hexadecimal as 0x23"
	}
	n, err := strconv.ParseUint(digits, base, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return Target{}, "the mark does not fit into 32 bits"
	case err != nil:
		return Target{}, "a mark is a number, as in mark:0x23 or mark:35"
	case n == 0:
		return Target{}, "mark 0 is what sockets have that are not marked"
	}
	return Target{Kind: Mark, Mark: uint32(n)}, ""
}

// addInterface puts name behind the n interfaces t has.
func (t *Target) addInterface(n int, name string) (reason string) {
	if reason := interfaceReason(name); reason != "" {
		return reason
	}
	for _, other := range t.Interfaces[:n] {
		if other == name {
			return fmt.Sprintf("interface %q comes twice", name)
		}
	}
	if n == MaxChain {
		return fmt.Sprintf("more than %d interfaces", MaxChain)
	}
	t.Interfaces[n] = name
	return ""
}

// wordReason refuses names that are words of ours, or meant as such.
func wordReason(name string) string {
	switch strings.ToLower(name) {
	case "lo":
		return "lo leads nowhere but here"
	case "direct", "block":
		return fmt.Sprintf("%q: write it in lower case", name)
	case "drop", "reject", "deny":
		return fmt.Sprintf("%q: the word is block", name)
	}
	if strings.HasPrefix(name, wordUser) || strings.HasPrefix(name, wordCgroup) {
		return fmt.Sprintf("%.80q is a condition; the target comes before it", name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Sprintf("%q is an address; it has to be an interface, as in wg0", name)
	}
	return ""
}

// interfaceReason says why name cannot be an interface: what the kernel's
// dev_valid_name refuses, and what could not be told apart in a rule file.
func interfaceReason(name string) string {
	if reason := wordReason(name); reason != "" {
		return reason
	}
	switch {
	case name == "":
		return "empty interface name"
	case len(name) > maxInterface:
		return fmt.Sprintf("interface name %.80q is longer than %d bytes", name, maxInterface)
	case name == "." || name == "..":
		return fmt.Sprintf("%q is no interface name", name)
	case strings.Trim(name, "0123456789") == "":
		return fmt.Sprintf("%q is an interface index; write the interface's name", name)
	case name[0] == '#':
		return fmt.Sprintf("interface name %q begins with '#', which begins a comment", name)
	case !utf8.ValidString(name):
		return fmt.Sprintf("interface name %q is not UTF-8", name)
	case strings.IndexByte(name, 0xa0) >= 0:
		// White space to the kernel, which reads Latin-1; "à" has that byte.
		return fmt.Sprintf("interface name %q has byte 0xa0, which the kernel refuses", name)
	}
	for _, r := range name {
		switch {
		case r == '/' || r == ':':
			return fmt.Sprintf("interface name %q has a %q", name, r)
		case unicode.IsSpace(r):
			return fmt.Sprintf("interface name %q has whitespace", name)
		case !unicode.IsPrint(r):
			return fmt.Sprintf("interface name %q has a character that does not print", name)
		}
	}
	return ""
}

// Chain returns the interfaces of t in order; none for other kinds than Interface.
func (t Target) Chain() []string {
	n := 0
	for n < MaxChain && t.Interfaces[n] != "" {
		n++
	}
	if n == 0 {
		return nil
	}
	return append([]string(nil), t.Interfaces[:n]...)
}

// String returns the canonical text, which ParseTarget reads back. How a chain ends
// shows only when it ends direct. The zero Target prints "none".
func (t Target) String() string {
	switch t.Kind {
	case Direct:
		return wordDirect
	case Block:
		return wordBlock
	case Mark:
		return fmt.Sprintf("%s0x%x", wordMark, t.Mark)
	case Interface:
		words := t.Chain()
		if t.End == EndDirect {
			words = append(words, wordDirect)
		}
		return strings.Join(words, ",")
	}
	return "none"
}
