package answers

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// ttl of all records, in seconds.
const ttl = 60

// form is one way that answers look.
type form struct {
	name  string
	addrs int
	// ask makes the name, below or beside a rule's domain; a short one if nil.
	ask func(domain string) string
	// change makes the form of a plain answer: addresses under the question's name.
	change func(r *dns.Msg)
	edns   bool
	large  bool // longer than a packet
}

var forms = []form{
	{name: "plain", addrs: 1, change: func(*dns.Msg) {}},
	{name: "aliases", addrs: 2, change: func(r *dns.Msg) { r.Answer = alias(r.Answer, 6) }},
	{name: "aliases-uncompressed", addrs: 2, change: func(r *dns.Msg) {
		r.Answer = alias(r.Answer, 6)
		r.Compress = false
	}},
	{name: "uncompressed", addrs: 3, change: func(r *dns.Msg) { r.Compress = false }},
	{name: "edns", addrs: 1, edns: true, change: withOptions},
	{name: "40-addresses", addrs: 40, edns: true, change: func(*dns.Msg) {}},
	{name: "40-addresses-uncompressed", addrs: 40, edns: true, large: true, change: func(r *dns.Msg) { r.Compress = false }},
	{name: "signature-first", addrs: 1, edns: true, change: func(r *dns.Msg) {
		r.Answer = append([]dns.RR{signature(r.Answer[0])}, r.Answer...)
	}},
	{name: "signature-between", addrs: 2, edns: true, change: func(r *dns.Msg) {
		r.Answer = []dns.RR{r.Answer[0], signature(r.Answer[0]), r.Answer[1], signature(r.Answer[1])}
	}},
	{name: "mixed-case", addrs: 1, ask: func(d string) string { return mixedCase("Www-" + unique() + "." + d) }, change: func(*dns.Msg) {}},
	{name: "mixed-case-aliases", addrs: 1, ask: func(d string) string { return mixedCase("Cdn-" + unique() + "." + d) },
		change: func(r *dns.Msg) { r.Answer = alias(r.Answer, 3) }},
	{name: "name-97", addrs: 1, ask: func(d string) string { return nameOf(97, d) }, change: func(*dns.Msg) {}},
	{name: "name-255", addrs: 1, ask: func(d string) string { return nameOf(255, d) }, change: func(*dns.Msg) {}},
	{name: "name-255-uncompressed", addrs: 3, edns: true, ask: func(d string) string { return nameOf(255, d) },
		change: func(r *dns.Msg) { r.Compress = false }},
	{name: "labels-127", addrs: 1, ask: name127, change: func(*dns.Msg) {}},
	{name: "labels-127-aliases", addrs: 2, ask: name127, change: func(r *dns.Msg) { r.Answer = alias(r.Answer, 6) }},
	{name: "everything", addrs: 40, edns: true, large: true,
		ask: func(d string) string { return mixedCase(nameOf(64, d)) }, change: func(r *dns.Msg) {
			r.Answer = alias(append([]dns.RR{signature(r.Answer[0])}, r.Answer...), 6)
			withOptions(r)
		}},
}

// way is how one question goes.
type way struct {
	name  string
	query lab.Query
}

func ways(h *world) []way {
	six := netip.AddrPortFrom(h.DNS.Addr6, lab.DNSPort)
	return []way{
		{"udp", lab.Query{}},
		{"udp-unconnected", lab.Query{Unconnected: true}},
		{"udp-over-ipv6", lab.Query{Server: six}},
		{"udp-over-ipv6-unconnected", lab.Query{Server: six, Unconnected: true}},
		{"tcp", lab.Query{Proto: "tcp"}},
		{"tcp-over-ipv6", lab.Query{Proto: "tcp", Server: six}},
	}
}

// TestForms: every address of every form steers, under the name that was asked for and no other.
func TestForms(t *testing.T) {
	w := newWorld(t)
	other := w.MustAgent(lab.AgentOptions{UID: user})
	want := learnt{}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			for _, way := range ways(w) {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
					for _, domain := range []string{ruled, unruled} {
						what := fmt.Sprintf("%s, %s, %s", way.name, dns.TypeToString[qtype], domain)
						name, addrs := f.resolve(t, w, way.query, qtype, domain)
						for _, a := range addrs {
							want[a] = name
							w.arrives(t, w.asker, a, steered(name), what)
						}
						w.arrives(t, other, addrs[len(addrs)-1], steered(name), what+", by another process")
					}
				}
			}
		})
	}
	w.learntOnly(t, want)
}

// resolve has the form's answer given to one question. It returns the name and its addresses.
func (f form) resolve(t *testing.T, w *world, q lab.Query, qtype uint16, domain string) (string, []netip.Addr) {
	t.Helper()
	name, addrs := unique()+"."+domain, w.addrs(f.addrs, qtype)
	if f.ask != nil {
		name = f.ask(domain)
	}
	w.DNS.Set(name, addrs...)
	var size atomic.Int32
	w.DNS.Handle(name, func(query *dns.Msg, _ string) *dns.Msg {
		r := w.DNS.Reply(query)
		f.change(r)
		size.Store(int32(r.Len()))
		return r
	})
	q.Name, q.Type, q.EDNS = name, qtype, f.edns
	ans, err := w.asker.Resolve(q)
	if err != nil || !slices.Equal(ans.Addrs, addrs) || ans.Msg.Question[0].Name != dns.Fqdn(name) {
		t.Fatalf("%s: answer %v, %v; want %v", name, ans.Msg, err, addrs)
	}
	if qtype == dns.TypeAAAA && f.large != (size.Load() > 1500) {
		t.Errorf("%s: an answer of %d bytes", name, size.Load())
	}
	return name, addrs
}

// alias puts a chain of n aliases between the question's name and the records, each elsewhere, the last below a rule.
func alias(records []dns.RR, n int) []dns.RR {
	owner, chain := records[0].Header().Name, []dns.RR{}
	for i := range n {
		to := fmt.Sprintf("edge-%d.provider-%d.%s.", i, i, []string{"example.net", aside}[(n-i)%2])
		head := dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl}
		chain, owner = append(chain, &dns.CNAME{Hdr: head, Target: to}), to
	}
	for _, rr := range records {
		rr.Header().Name = owner
	}
	return append(chain, records...)
}

// signature is an RRSIG of 300 bytes, as of an RSA key of about 2,200 bits.
func signature(of dns.RR) dns.RR {
	const signer = "example."
	head := *of.Header()
	covered := head.Rrtype
	head.Rrtype = dns.TypeRRSIG
	bits := make([]byte, 300-18-len(signer)-1)
	for i := range bits {
		bits[i] = byte(i)*7 | 0xc0 // as many pointers as there can be, to whoever reads it as names
	}
	return &dns.RRSIG{Hdr: head, TypeCovered: covered, Algorithm: dns.RSASHA256, Labels: 2, OrigTtl: ttl,
		Expiration: 2e9, Inception: 1e9, KeyTag: 1, SignerName: signer, Signature: base64.StdEncoding.EncodeToString(bits)}
}

// withOptions makes the OPT record as long as it gets in practice.
func withOptions(r *dns.Msg) {
	opt := r.IsEdns0()
	opt.SetDo()
	opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: "6c6162"},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "24a5ac1223344556bbccddeeff001122"},
		&dns.EDNS0_PADDING{Padding: make([]byte, 128)})
}

// mixedCase is what a resolver that guards its questions by their case asks for (draft-vixie-dnsext-dns0x20).
func mixedCase(name string) string {
	b := []byte(strings.ToLower(name))
	for i := range b {
		if i%3 != 1 && 'a' <= b[i] && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

// nameOf is a name of so many bytes on the wire.
func nameOf(bytes int, domain string) string {
	name := unique() + "." + domain
	for left := bytes - len(name) - 2; left > 0; left = bytes - len(name) - 2 {
		label := min(left-1, 63)
		if left-1-label == 1 {
			label-- // one byte left would be no label
		}
		name = strings.Repeat("x", label) + "." + name
	}
	return name
}

// name127 is a name of 127 labels, the most there can be.
func name127(domain string) string {
	domain = map[string]string{ruled: short, unruled: shortUnruled}[domain]
	labels := strings.Split(strings.TrimPrefix(unique(), "n"), "")
	for len(labels) < 125 {
		labels = append(labels, string(rune('a'+len(labels)%26)))
	}
	return strings.Join(labels, ".") + "." + domain
}

// TestNames: the long names are as long as they are called.
func TestNames(t *testing.T) {
	for name, want := range map[string][2]int{
		nameOf(97, ruled): {97, 0}, nameOf(255, ruled): {255, 0}, name127(ruled): {255, 127}, name127(unruled): {255, 127},
	} {
		size, err := dns.PackDomainName(dns.Fqdn(name), make([]byte, 300), 0, nil, false)
		if err != nil || size != want[0] || want[1] != 0 && dns.CountLabel(dns.Fqdn(name)) != want[1] {
			t.Errorf("%s: %d bytes, %d labels, %v", name, size, dns.CountLabel(dns.Fqdn(name)), err)
		}
	}
	if rr := signature(&dns.A{Hdr: dns.RR_Header{Name: "x.example.", Rrtype: dns.TypeA}}); dns.Len(rr) != 11+10+300 {
		t.Errorf("a signature of %d bytes", dns.Len(rr)-11-10)
	}
}
