package ruleset

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func chain(end End, names ...string) Target {
	t := Target{Kind: Interface, End: end}
	copy(t.Interfaces[:], names)
	return t
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		in   string
		want Target
		text string
	}{
		{"wg0", chain(EndBlock, "wg0"), "wg0"},
		{"wg0,wwan0", chain(EndBlock, "wg0", "wwan0"), "wg0,wwan0"},
		{"wg0,block", chain(EndBlock, "wg0"), "wg0"},
		{"wg0,direct", chain(EndDirect, "wg0"), "wg0,direct"},
		{"a,b,c,d,direct", chain(EndDirect, "a", "b", "c", "d"), "a,b,c,d,direct"},
		{"direct", Target{Kind: Direct}, "direct"},
		{"block", Target{Kind: Block}, "block"},
		{"12345678901234a", chain(EndBlock, "12345678901234a"), "12345678901234a"},
		{"eth0.100", chain(EndBlock, "eth0.100"), "eth0.100"},
		{"wg-ö", chain(EndBlock, "wg-ö"), "wg-ö"},
		{"...", chain(EndBlock, "..."), "..."},
		{"directx", chain(EndBlock, "directx"), "directx"},
		{"wg#0", chain(EndBlock, "wg#0"), "wg#0"},
		{"mark:0x23", Target{Kind: Mark, Mark: 35}, "mark:0x23"},
		{"mark:35", Target{Kind: Mark, Mark: 35}, "mark:0x23"},
		{"mark:0xffffffff", Target{Kind: Mark, Mark: 1<<32 - 1}, "mark:0xffffffff"},
		{"mark:0x00AB", Target{Kind: Mark, Mark: 0xab}, "mark:0xab"},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.in)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("ParseTarget(%q) = %+v (%s), %v", tt.in, got, got, err)
		}
		if again, err := ParseTarget(got.String()); again != got || err != nil {
			t.Errorf("ParseTarget(%q) = %+v, %v; want %+v", got.String(), again, err, got)
		}
	}
}

func TestParseTargetErrors(t *testing.T) {
	tests := []struct{ in, reason string }{
		{"", "empty"},
		{",", "empty interface name"},
		{"wg0,", "empty interface name"},
		{",wg0", "empty interface name"},
		{"wg0,,wg1", "empty interface name"},
		{"3", "is an interface index"},
		{"wg0,3", "is an interface index"},
		{"123456789012345", "is an interface index"},
		{"1234567890123456", "longer than 15"},
		{strings.Repeat("x", 1<<20), "longer than 15"},
		{"wg0,wg1,wg0", "comes twice"},
		{"a,b,c,d,e", "more than 4"},
		{"direct,wg0", "can only end a chain"},
		{"direct,block", "can only end a chain"},
		{"wg0,direct,block", "can only end a chain"},
		{"wg0,block,wg1", "can only end a chain"},
		{"10.9.0.1", "is an address"},
		{"wg0,2001:db8::1", "is an address"},
		{"drop", "the word is block"},
		{"user=1000", "is a condition; the target comes before it"},
		{"cgroup=/a", "is a condition; the target comes before it"},
		{"mark:", "is a number"},
		{"mark:0", "mark 0"},
		{"mark:0x", "is a number"},
		{"mark:0x0", "mark 0"},
		{"mark:-1", "is a number"},
		{"mark:1_0", "is a number"},
		{"mark:010", "leading zero"},
		{"mark:4294967296", "32 bits"},
		{"mark:1,wg0", "is a number"},
		{"MARK:1", "has a ':'"},
		{"wg0,mark:1", "has a ':'"},
		{".", "no interface name"},
		{"lo", "nowhere but here"},
		{"wg0,Direct", "lower case"},
		{"BLOCK", "lower case"},
		{"wg0,..", "no interface name"},
		{"a/b", "has a '/'"},
		{"eth0:1", "has a ':'"},
		{"a b", "whitespace"},
		{"a\u2003b", "whitespace"},
		{"a\x07", "does not print"},
		{"a\x7f", "does not print"},
		{"a\u202e", "does not print"},
		{"a\xef", "not UTF-8"},
		{"à", "0xa0"},
		{"#wg", "comment"},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.in)
		var te *TargetError
		if !errors.As(err, &te) || te.Input != tt.in || !strings.Contains(te.Reason, tt.reason) || got != (Target{}) {
			t.Errorf("ParseTarget(%.40q) = %+v, %v; want %q", tt.in, got, err, tt.reason)
			continue
		}
		if len(err.Error()) > 1000 {
			t.Errorf("error text has %d bytes", len(err.Error()))
		}
	}
}

func TestChain(t *testing.T) {
	if got := chain(EndDirect, "a", "b").Chain(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	if got := (Target{Kind: Direct}).Chain(); len(got) != 0 {
		t.Errorf("direct: got %q", got)
	}
}
