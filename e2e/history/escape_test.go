package history

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// nasty is what a terminal may obey, or what makes two names look alike: as a label in the text form of package dns, and
// as it is to be shown.
var nasty = []struct{ asked, shown string }{
	{`\027[2J\027]0;owned\007`, `\027\0912j\027\0930\059owned\007`},
	{`del\127`, `del\127`},
	{`c1\155\144\159`, `c1\155\144\159`}, // CSI, DCS, APC in one byte
	{`nul\000x`, `nul\000x`},
	{`dot\.dot`, `dot\.dot`},
	{`back\\slash`, `back\\slash`},
	{`nl\010tab\009cr\013`, `nl\010tab\009cr\013`},
	{`utf\226\128\174x`, `utf\226\128\174x`}, // U+202E turns the direction of text
	{`high\255\254`, `high\255\254`},
	{`quote"<&>`, `quote\034\060\038\062`},
}

// TestEscapes: names with such bytes are learnt, steered by and shown, and none of those bytes comes out anywhere.
func TestEscapes(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "ruled.example", "vpn0")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	for _, n := range nasty {
		s := h.MustHost()
		name := n.asked + ".ruled.example"
		h.DNS.HandleRaw(wireText(t, name), func(query []byte, _ string) [][]byte {
			q := new(dns.Msg)
			if q.Unpack(query) != nil {
				return nil
			}
			r := new(dns.Msg).SetReply(q)
			r.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: s.Addr4.AsSlice(),
			}}
			b, err := r.Pack()
			if err != nil {
				return nil
			}
			return [][]byte{b}
		})
		resolve(t, a, name)
		expect(t, h, a, s.Addr4, "vpn0", name)
		if names := h.Names(s.Addr4); !slices.Equal(names, []string{n.shown + ".ruled.example"}) {
			t.Errorf("%s is shown as %q", name, names)
		}
		if n, code := flushed(h, "="+n.shown+".ruled.example"); n != 2 || code != 0 {
			t.Errorf("flush of %s as it is shown: forgot %d, exit %d", name, n, code)
		}
		resolve(t, a, name)
	}
	for _, args := range [][]string{{"rdns"}, {"decision"}, {"status"}, {"rdns", "-o", "json"}, {"decision", "-o", "json"}} {
		plain(t, strings.Join(args, " "), h.Must(args...))
	}
}

// wireText is a name as the lab's name server knows it once it was on the wire.
func wireText(t *testing.T, name string) string {
	t.Helper()
	b, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	return m.Question[0].Name
}

// plain checks that a text is printable ASCII.
func plain(t *testing.T, what, text string) {
	t.Helper()
	for i := range len(text) {
		if c := text[i]; c != '\n' && c != '\t' && (c < ' ' || c > '~') {
			t.Errorf("%s prints byte %#x: %q", what, c, text[max(0, i-30):min(len(text), i+30)])
			return
		}
	}
}

// TestEscapedArguments: what a command refuses is quoted without what a terminal obeys.
func TestEscapedArguments(t *testing.T) {
	h := harness.Started(t)
	const evil = "a\x1b[2Jb\x7f\u009b\u202e"
	for _, args := range [][]string{
		{"flush", evil}, {"flush", evil + "/8"}, {"rdns", evil}, {evil}, {"rule", "add", evil, "vpn0"}, {"rule", "add", "x.example", evil},
		{"rule", "del", evil}, {"start", "--history=" + evil}, {"start", "--observe", "tc:" + evil}, {"start", "--cgroup", "/" + evil},
		{"status", "--" + evil}, {"status", "-o", evil},
	} {
		r := h.Run(args...)
		if r.Code == 0 {
			t.Errorf("%q was taken", args)
		}
		plain(t, strings.Join(args, " "), r.Stdout+r.Stderr)
	}
}

// TestEscapedInterface: so may an interface be called, and status lists those that are watched.
func TestEscapedInterface(t *testing.T) {
	h := harness.New(t, lab.Options{})
	const evil = "x\x1b[2J\u009b\x7f"
	if err := h.AddUplink(evil, lab.UplinkOptions{}); err != nil {
		t.Fatal(err)
	}
	start := []string{"start", "--cgroup", h.Cgroup, "--observe", "tc:" + evil}
	for _, args := range [][]string{start, {"start", "-o", "json"}, {"status"}, {"status", "-o", "json"}, {"rule", "add", "x.example", evil}} {
		r := h.Run(args...)
		plain(t, strings.Join(args, " "), r.Stdout+r.Stderr)
		if args[0] != "rule" && (r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "tc:x")) {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
