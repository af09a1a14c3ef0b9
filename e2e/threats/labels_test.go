package threats

import (
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// trick is a name made of raw labels, and the rule it must come under.
type trick struct {
	labels []string
	rule   string // "": none
	text   string // as rdns shows it
}

// T18. Rows 8 and 9 of "Malformed answers": what labels hold is data, never a separator or an end.
var tricks = []trick{
	{[]string{"bank.example"}, "", `bank\.example`},
	{[]string{"www", "bank.example"}, "", `www.bank\.example`},
	{[]string{"www.bank", "example"}, "", `www\.bank.example`},
	{[]string{"x.", "bank", "example"}, "bank.example", `x\..bank.example`},
	{[]string{"bank\x00", "example"}, "", `bank\000.example`},
	{[]string{"bank", "example\x00"}, "", `bank.example\000`},
	{[]string{"\x00bank", "example"}, "", `\000bank.example`},
	{[]string{"bank", "example", "\x00"}, "", `bank.example.\000`},
	{[]string{"\x04bank\x07example\x00", "evil"}, "", `\004bank\007example\000.evil`},
	{[]string{"bank.example\x00", "evil", "example"}, "", `bank\.example\000.evil.example`},
	// The end of this label reads like the wire form of the bank's name.
	{[]string{"x\x04bank\x07example"}, "", `x\004bank\007example`},
	{[]string{"notbank", "example"}, "", `notbank.example`},
	{[]string{"x-bank", "example"}, "", `x-bank.example`},
	{[]string{"bank", "example", "evil"}, "", `bank.example.evil`},
	{[]string{"ban", "kexample"}, "", `ban.kexample`},
	// ASCII letters fold, nothing else does: '@' is 'A'-1, '[' is 'Z'+1, and 0xe2 is 0xc2 with the bit of case.
	{[]string{"WWW", "BANK", "eXaMpLe"}, "bank.example", `www.bank.example`},
	{[]string{"AZ@[", "case", "example"}, "", `az\064\091.case.example`},
	{[]string{"az`{", "case", "example"}, "", `az\096\123.case.example`},
	{[]string{"\xc2\xda", "bank", "example"}, "bank.example", `\194\218.bank.example`},
	{[]string{"\xe2\xfa", "bank", "example"}, "bank.example", `\226\250.bank.example`},
	// What a terminal would obey.
	{[]string{"\x1b]0;owned\x07", "bank", "example"}, "bank.example", `\027\0930\059owned\007.bank.example`},
	{[]string{"\x1b[2J\r\n\t\b\x7f\x9b31m", "bank", "example"}, "bank.example",
		`\027\0912j\013\010\009\008\127\15531m.bank.example`},
	{[]string{"\u202etxt", "bank", "example"}, "bank.example", `\226\128\174txt.bank.example`},
}

// Defence: names are matched label by label (add_label), lower-cased in ASCII only (copy_name), and written by
// pattern.Name.String.
func TestLabelTricks(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	for _, c := range tricks {
		s := h.MustHost()
		h.DNS.Set(escaped(c.labels...), s.Addr4)
		resolve(t, a, lab.Query{Name: escaped(c.labels...)})
		want := map[string]string{"": "wan0", "bank.example": "vpn0"}[c.rule]
		expectTCP(t, h, a, s.Addr4, want, c.text)
		shown := false
		for _, l := range h.Learnt() {
			if l.Address == s.Addr4 {
				shown = true
				if l.Name != c.text || l.Rule != c.rule {
					t.Errorf("%q: shown as %q with rule %q, want %q, %q", c.labels, l.Name, l.Rule, c.text, c.rule)
				}
			}
		}
		if !shown {
			t.Errorf("%q: not learnt", c.labels)
		}
	}
	for _, args := range [][]string{{"rdns"}, {"decision"}, {"rdns", "-o", "json"}, {"decision", "-o", "json"}, {"rule", "list"}} {
		out := h.Must(args...)
		if i := strings.IndexFunc(out, func(r rune) bool { return (r < ' ' && r != '\n' && r != '\t') || r > '~' }); i >= 0 {
			t.Errorf("%v prints a byte %#x: %q", args, out[i], out[max(0, i-20):min(len(out), i+20)])
		}
	}
}
