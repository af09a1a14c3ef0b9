package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func journeyBy(way string, packets ...int) []journey {
	var all []journey
	for _, a := range []string{"198.51.100.1", "2001:db8:1::1"} {
		all = append(all, journey{
			name: www, address: netip.MustParseAddr(a), says: vpn, tcp: way, udp: way,
			packets: map[string]int{defaultUplink: packets[0], vpn: packets[1]},
		})
	}
	return all
}

func TestTable(t *testing.T) {
	journeys := journeyBy("vpn0", 0, 12)
	journeys[1].tcp, journeys[1].packets[vpn] = "EHOSTUNREACH", 3
	want := []string{
		"NAME             ADDRESS        RULE SAYS  TCP           UDP   wan0 vpn0",
		"www.example.com  198.51.100.1   vpn0       vpn0          vpn0     0   12",
		"www.example.com  2001:db8:1::1  vpn0       EHOSTUNREACH  vpn0     0    3",
	}
	for _, colour := range []bool{false, true} {
		var b strings.Builder
		s := screen{w: &b, colour: colour}
		s.table(journeysTable(journeys))
		got := b.String()
		if strings.Contains(got, "\x1b[31mEHOSTUNREACH\x1b[0m") != colour {
			t.Errorf("colour %v: %q", colour, got)
		}
		for _, style := range []string{bold, red, green, ""} {
			got = strings.NewReplacer("\x1b["+style+"m", "", "\x1b[0m", "").Replace(got)
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); diff != "" {
			t.Errorf("colour %v (-want +got):\n%s", colour, diff)
		}
	}
}

func TestExcerpt(t *testing.T) {
	var b strings.Builder
	s := screen{w: &b, width: 10}
	s.excerpt("0123456789   \n0123456789a\nsecond\nthird\n", 2)
	if want := "0123456789\n012345678>\n... and 2 more lines\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestWantsColour(t *testing.T) {
	for _, tc := range []struct {
		env  map[string]string
		want bool
	}{
		{map[string]string{"TERM": "xterm"}, true},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		{map[string]string{"TERM": "dumb"}, false},
	} {
		if got := wantsColour(func(name string) string { return tc.env[name] }); got != tc.want {
			t.Errorf("%v: %v", tc.env, got)
		}
	}
}

func TestExpectation(t *testing.T) {
	steered := expect{www, vpn, vpn}
	for _, tc := range []struct {
		what     string
		expected expect
		journeys []journey
		problem  string // a part of the error; "" for none
	}{
		{"as told", steered, journeyBy(vpn, 0, 6), ""},
		{"failed as told", expect{www, vpn, "ENODEV"}, journeyBy("ENODEV", 0, 0), ""},
		{"the other uplink", steered, journeyBy(defaultUplink, 6, 0), "TCP: wan0"},
		{"one packet leaked", steered, journeyBy(vpn, 1, 6), "1 packets by wan0"},
		{"a leak, and then failure", expect{www, vpn, "ENODEV"}, journeyBy("ENODEV", 1, 0), "1 packets by wan0"},
		{"a packet counter that sees nothing", steered, journeyBy(vpn, 0, 0), "0 packets by vpn0"},
		{"another rule", expect{www, "-", vpn}, journeyBy(vpn, 0, 6), `says "vpn0"`},
		{"IPv4 alone", steered, journeyBy(vpn, 0, 6)[:1], "1 of the two"},
		{"nothing", steered, nil, "0 of the two"},
	} {
		err := tc.expected.check(tc.journeys)
		if (err == nil) != (tc.problem == "") || err != nil && !strings.Contains(err.Error(), tc.problem) {
			t.Errorf("%s: error %v, want one with %q", tc.what, err, tc.problem)
		}
	}
}

func TestSettled(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"one\ntwo\n":                     "one\ntwo\n",
		"\r\x1b[Ka 1 s\r\x1b[Kdone\nx\n": "done\nx\n",
		"\r\x1b[Ka 1 s\r\x1b[K":          "",
	} {
		if got := settled(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
