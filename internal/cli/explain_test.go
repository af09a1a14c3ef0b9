package cli

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/domain-route/domain-route/internal/dataplane"
)

func TestCaller(t *testing.T) {
	for _, c := range []struct {
		uid  int
		sudo string
		want uint32
	}{{0, "", 0}, {0, "1000", 1000}, {0, "no", 0}, {0, "-1", 0}, {1001, "1000", 1001}, {0, "4294967296", 0}} {
		if got := caller(c.uid, c.sudo); got != c.want {
			t.Errorf("%d by sudo of %q: %d, want %d", c.uid, c.sudo, got, c.want)
		}
	}
}

// Lines end before the width, and begin under each other; what comes from outside cannot draw.
func TestSay(t *testing.T) {
	p := &explainPage{}
	p.say("label", 0, "%s", strings.Repeat("word ", 40))
	p.say("", 1, "evil \x1b[2J\nline %s", "\u202e")
	p.say("", 0, "%s end", strings.Repeat("x", 200))
	text := p.String()
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if n := utf8.RuneCountInString(line); n > explainWidth && !strings.Contains(line, "xxx") {
			t.Errorf("line %d has %d columns: %s", i, n, line)
		}
		if i == 0 != strings.HasPrefix(line, "label") || i > 0 && !strings.HasPrefix(line, strings.Repeat(" ", explainIndent)) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, `evil \x1b[2J\x0aline \u{202e}`) {
		t.Errorf("%q", text)
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 119 * time.Minute: "119 min", 2 * time.Hour: "2 h",
		47 * time.Hour: "47 h", 48 * time.Hour: "2 days",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// What an answer says of each outcome.
func TestSaysAddress(t *testing.T) {
	r := &explainResult{Interfaces: []explainInterface{
		{Name: "wg0", Exists: true, Up: true, Carrier: true}, {Name: "wg1", Exists: true}, {Name: "wg2", Exists: true, Up: true},
	}}
	place := func(o dataplane.Outcome, name string, index int, mark uint32) explainPlace {
		return placeOf(dataplane.Place{Outcome: o, Interface: name, Ifindex: index, Mark: mark})
	}
	direct := place(dataplane.Untouched, "", 0, 0)
	for want, a := range map[string]explainAddress{
		"wg0 (ifindex 7, up)":                            {Place: place(dataplane.Steered, "wg0", 7, 0), By: dataplane.ByName},
		"wg1 (ifindex 8, down)":                          {Place: place(dataplane.Steered, "wg1", 8, 0), By: dataplane.ByName},
		"wg2 (ifindex 9, up, no carrier)":                {Place: place(dataplane.Steered, "wg2", 9, 0), By: dataplane.ByName},
		"mark 0x23":                                      {Place: place(dataplane.Marked, "", 0, 0x23), By: dataplane.ByName},
		"blocked":                                        {Place: place(dataplane.Blocked, "", 0, 0), By: dataplane.ByName, Target: "block"},
		"refused: none of wg8 wwan8 exists":              {Place: place(dataplane.NoInterface, "", 0, 0), By: dataplane.ByName, Target: "wg8,wwan8"},
		"refused: wg8 does not exist":                    {Place: place(dataplane.NoInterface, "", 0, 0), By: dataplane.ByName, Target: "wg8"},
		"direct (no rule)":                               {Place: direct},
		"direct (its rule)":                              {Place: direct, By: dataplane.ByName, Target: "direct"},
		"direct (none of wg8 wwan8 exists)":              {Place: direct, By: dataplane.ByName, Target: "wg8,wwan8,direct"},
		"left alone (an address of this host)":           {Place: direct, By: dataplane.ByName, Target: "wg0", Alone: dataplane.AloneOwn},
		"left alone (loopback, link-local or multicast)": {Place: direct, Alone: dataplane.AloneLocal},
	} {
		if got := r.saysAddress(a); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
