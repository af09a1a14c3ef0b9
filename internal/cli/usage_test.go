package cli

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

// What flush and rdns are about: mapped addresses are the IPv4 ones they stand for.
func TestMatching(t *testing.T) {
	for _, tt := range []struct {
		text    string
		yes, no []string
	}{
		{"10.1.2.3", []string{"10.1.2.3"}, []string{"10.1.2.4"}},
		{"::ffff:10.1.2.3", []string{"10.1.2.3"}, []string{"10.1.2.4"}},
		{"10.0.0.0/8", []string{"10.1.2.3"}, []string{"11.0.0.1", "2001:db8::1"}},
		{"10.9.9.9/8", []string{"10.1.2.3"}, []string{"11.0.0.1"}},
		{"::ffff:10.0.0.0/104", []string{"10.1.2.3"}, []string{"11.0.0.1", "2001:db8::1"}},
		{"::ffff:0.0.0.0/96", []string{"10.1.2.3", "11.0.0.1"}, []string{"2001:db8::1"}},
		{"2001:db8::/32", []string{"2001:db8::1"}, []string{"10.1.2.3"}},
		{"::/0", []string{"2001:db8::1"}, []string{"10.1.2.3"}},
	} {
		match, err := matching(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		for _, a := range tt.yes {
			if !match(dataplane.Learnt{Address: netip.MustParseAddr(a)}) {
				t.Errorf("%s: not %s", tt.text, a)
			}
		}
		for _, a := range tt.no {
			if match(dataplane.Learnt{Address: netip.MustParseAddr(a)}) {
				t.Errorf("%s: also %s", tt.text, a)
			}
		}
	}
}

func TestMatchingRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/33": "is no prefix", "10.0.0/8": "is no prefix", "10.0.0.0/x": "is no prefix", "10.0.0.0/": "is no prefix",
		"2001:db8::/129": "is no prefix", "::ffff:10.0.0.0/95": "is no prefix", "fe80::1%eth0/64": "has a zone", "fe80::1%eth0": "has a zone",
	} {
		var usage usageError
		if _, err := matching(text); !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	var syntax *pattern.SyntaxError
	if _, err := matching("example.com/8x"); !errors.As(err, &syntax) {
		t.Errorf("a name with a slash: %v", err)
	}
}

// An interface without a name is wrong usage, and shown as such.
func TestObserverWithoutName(t *testing.T) {
	present := []dataplane.Device{{Index: 2, Name: "wan0"}, {Index: 3, Name: "vpn0"}}
	for _, given := range []string{"tc:wan0,,vpn0", "tc:,wan0", "tc:wan0,", "tc:,", "tc:"} {
		_, err := observers([]string{given}, present)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), `"`+given+`"`) {
			t.Errorf("%s: %v", given, err)
		}
	}
	if o, err := observers([]string{"tc:wan0,vpn0"}, present); err != nil || len(o.Devices) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}

// No command offers the names of files where it takes none.
func TestCompletion(t *testing.T) {
	for _, command := range []string{"flush", "rdns", "reset"} {
		var out bytes.Buffer
		Run(Env{Stdout: &out, Stderr: &bytes.Buffer{}}, []string{"__complete", command, ""})
		if !strings.HasSuffix(out.String(), ":4\n") { // cobra.ShellCompDirectiveNoFileComp
			t.Errorf("%s: %q", command, out.String())
		}
	}
}
