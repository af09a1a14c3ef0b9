package warm

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/domain-route/domain-route/internal/pattern"
)

// realDump is what systemd-resolved 254.26 said, but for the negative entry and the scope of mDNS.
const realDump = `{"parameters":{"dump":[{"protocol":"dns","cache":[
{"key":{"class":1,"type":1,"name":"nx.example"},"type":"nxdomain","until":1875382281},
{"key":{"class":1,"type":1,"name":"b.example"},"rrs":[{"rr":{"key":{"class":1,"type":1,"name":"b.example"},"address":[198,51,100,1]},"raw":"AWIHZXhhbXBsZQAAAQABAAAAMgAExjNkAQ=="}],"until":1875382281},
{"key":{"class":1,"type":28,"name":"b.example"},"rrs":[{"rr":{"key":{"class":1,"type":28,"name":"b.example"},"address":[32,1,13,184,0,1,0,0,0,0,0,0,0,0,0,1]},"raw":"AWIHZXhhbXBsZQAAHAABAAAAPAAQIAENuAABAAAAAAAAAAAAAQ=="}],"until":1885382890},
{"key":{"class":1,"type":5,"name":"www.example"},"rrs":[{"rr":{"key":{"class":1,"type":5,"name":"www.example"},"name":"mid.example"},"raw":"A3d3dwdleGFtcGxlAAAFAAEAAAAeAA0DbWlkB2V4YW1wbGUA"}],"until":1855382281},
{"key":{"class":1,"type":5,"name":"mid.example"},"rrs":[{"rr":{"key":{"class":1,"type":5,"name":"mid.example"},"name":"b.example"},"raw":"A21pZAdleGFtcGxlAAAFAAEAAAAoAAsBYgdleGFtcGxlAA=="}],"until":1865382281}
]},{"protocol":"mdns","family":2,"ifindex":2,"ifname":"eth0","cache":[
{"key":{"class":1,"type":1,"name":"a.example"},"rrs":[{"rr":{"key":{"class":1,"type":1,"name":"a.example"},"address":[198,51,100,1]},"raw":"AWEHZXhhbXBsZQAAAQABAAAAPAAExjNkAQ=="}],"until":1885381221}]}]}}`

var addrs4, addrs6 = []netip.Addr{netip.MustParseAddr("198.51.100.1")}, []netip.Addr{netip.MustParseAddr("2001:db8:1::1")}

var compareNames = []cmp.Option{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}

func fact(name string, addrs []netip.Addr, ttl time.Duration) Fact {
	n, err := pattern.ParseName(name)
	if err != nil {
		panic(err)
	}
	return Fact{n, addrs, ttl}
}

func TestReadDump(t *testing.T) {
	const now = 1845382281 * time.Microsecond
	tests := []struct {
		what string
		now  time.Duration
		want []Fact
	}{
		{"all there", now, []Fact{
			fact("b.example", addrs4, 30*time.Second),
			fact("b.example", addrs6, 40000609*time.Microsecond),
			fact("mid.example", addrs4, 20*time.Second),
			fact("mid.example", addrs6, 20*time.Second),
			fact("www.example", addrs4, 10*time.Second),
			fact("www.example", addrs6, 10*time.Second),
		}},
		{"an alias has ended", now + 10*time.Second, []Fact{
			fact("b.example", addrs4, 20*time.Second),
			fact("b.example", addrs6, 30000609*time.Microsecond),
			fact("mid.example", addrs4, 10*time.Second),
			fact("mid.example", addrs6, 10*time.Second),
		}},
		{"all has ended", now + time.Hour, nil},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			got, err := readDump([]byte(realDump), tt.now)
			if d := cmp.Diff(tt.want, got, compareNames...); err != nil || d != "" {
				t.Errorf("error %v, want - got +\n%s", err, d)
			}
		})
	}
}

func TestReadDumpErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{`{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"x"}}`, errCannotDump.Error()},
		{`{"error":"org.varlink.service.MethodNotFound: x"}`, errCannotDump.Error()},
		{`{"error":"org.varlink.service.InterfaceNotFound"}`, errCannotDump.Error()},
		{`{"error":"org.varlink.service.PermissionDenied"}`, `it refuses: "org.varlink.service.PermissionDenied"`},
		{`{"error":"` + strings.Repeat("x", 1000) + `"}`, `it refuses: "` + strings.Repeat("x", 200) + `"`},
		{`{"parameters":{"dump":[{"cache":`, "read its answer: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		_, err := readDump([]byte(tt.text), 0)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.60s: error %v, want %s", tt.text, err, tt.want)
		}
		if old := tt.want == errCannotDump.Error(); old != errors.Is(err, errCannotDump) {
			t.Errorf("%.60s: taken for too old: %v", tt.text, !old)
		}
	}
}

// raw makes a record in wire form.
func raw(name string, kind, class uint16, data ...byte) []byte {
	n, err := pattern.ParseName(name)
	if err != nil {
		panic(err)
	}
	b := binary.BigEndian.AppendUint16([]byte(n), kind)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, 60)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func wire(name string) []byte {
	n, err := pattern.ParseName(name)
	if err != nil {
		panic(err)
	}
	return []byte(n)
}

// dumped makes an answer of records that end in a minute.
func dumped(records ...[]byte) []byte {
	var rrs []string
	for _, r := range records {
		rrs = append(rrs, fmt.Sprintf(`{"raw":%q}`, base64.StdEncoding.EncodeToString(r)))
	}
	return fmt.Appendf(nil, `{"parameters":{"dump":[{"protocol":"dns","cache":[{"rrs":[%s],"until":60000000}]}]}}`, strings.Join(rrs, ","))
}

func TestRecords(t *testing.T) {
	four := []byte{198, 51, 100, 1}
	loop := []byte{127, 0, 0, 1}
	good := raw("good.example", typeA, classIN, four...)
	tests := []struct {
		what    string
		records [][]byte
		want    []Fact
	}{
		{"odd bytes in a name", [][]byte{raw(`a\000b\.c.example`, typeA, classIN, four...)}, []Fact{fact(`a\000b\.c.example`, addrs4, time.Minute)}},
		{"loopback", [][]byte{raw("x.example", typeA, classIN, loop...)}, nil},
		{"loopback beside another", [][]byte{raw("x.example", typeA, classIN, loop...), raw("x.example", typeA, classIN, four...)},
			[]Fact{fact("x.example", addrs4, time.Minute)}},
		{"another class", [][]byte{raw("x.example", typeA, 3, four...)}, nil},
		{"another type", [][]byte{raw("x.example", 16, classIN, four...)}, nil},
		{"a short address", [][]byte{raw("x.example", typeA, classIN, 1, 2, 3)}, nil},
		{"an AAAA of four bytes", [][]byte{raw("x.example", typeAAAA, classIN, four...)}, nil},
		{"cut in the name", [][]byte{good[:3]}, nil},
		{"cut in the middle", [][]byte{good[:len(good)-6]}, nil},
		{"cut at the end", [][]byte{good[:len(good)-1]}, nil},
		{"more than it says", [][]byte{append(append([]byte{}, good...), 0)}, nil},
		{"nothing", [][]byte{{}}, nil},
		{"an alias of nothing", [][]byte{raw("x.example", typeCNAME, classIN, wire("y.example")...)}, nil},
		{"a malformed alias", [][]byte{raw("x.example", typeCNAME, classIN, 0xc0, 12), good}, []Fact{fact("good.example", addrs4, time.Minute)}},
		{"a loop", [][]byte{
			raw("x.example", typeCNAME, classIN, wire("y.example")...), raw("y.example", typeCNAME, classIN, wire("x.example")...),
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			got, err := readDump(dumped(tt.records...), 0)
			if d := cmp.Diff(tt.want, got, compareNames...); err != nil || d != "" {
				t.Errorf("error %v, want - got +\n%s", err, d)
			}
		})
	}
}

// TestChainLength: aliases are followed as far as the limit and no further.
func TestChainLength(t *testing.T) {
	var records [][]byte
	for i := range chainMost + 1 {
		records = append(records, raw(fmt.Sprintf("n%d.example", i), typeCNAME, classIN, wire(fmt.Sprintf("n%d.example", i+1))...))
	}
	records = append(records, raw(fmt.Sprintf("n%d.example", chainMost+1), typeA, classIN, 198, 51, 100, 1))
	got, err := readDump(dumped(records...), 0)
	if err != nil || len(got) != chainMost+1 {
		t.Fatalf("%d names, error %v; want %d", len(got), err, chainMost+1)
	}
	if first, last := got[0].Name.String(), got[chainMost].Name.String(); first != "n17.example" || last != "n1.example" {
		t.Errorf("from %s to %s; want those nearest to the address first", first, last)
	}
}

func FuzzReadDump(f *testing.F) {
	f.Add([]byte(realDump))
	f.Add(dumped(raw("x.example", typeA, classIN, 1, 2, 3, 4)))
	f.Add(dumped([]byte{63}, []byte{255, 255}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := readDump(b, 0)
		if err != nil {
			return
		}
		for _, x := range facts {
			if _, err := pattern.FromWire([]byte(x.Name)); err != nil || len(x.Addrs) == 0 || x.TTL <= 0 {
				t.Errorf("%+v, %v", x, err)
			}
		}
	})
}
