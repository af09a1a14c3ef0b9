package threats

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// Flags of a DNS header.
const (
	flagsQuery    = 0x0100 // RD
	flagsResponse = 0x8180 // QR RD RA
)

const classCH = dns.ClassCHAOS

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// be16 and be32 are big-endian numbers.
func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// labels makes a wire name of raw labels, whatever is in them.
func labels(raw ...string) []byte {
	var b []byte
	for _, l := range raw {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

// wireName makes a wire name of plain text.
func wireName(name string) []byte { return labels(strings.Split(name, ".")...) }

// escaped writes raw labels the way package dns does.
func escaped(raw ...string) string {
	name, _, err := dns.UnpackDomainName(labels(raw...), 0)
	if err != nil {
		panic(err) // a name in a table of the tests is none
	}
	return name
}

// pointer is a compression pointer.
func pointer(to int) []byte { return be16(0xc000 | uint16(to)) }

// toQuestion points to the question's name.
var toQuestion = pointer(12)

// record is a resource record whose length is right.
func record(owner []byte, typ uint16, ttl uint32, data []byte) []byte {
	return rawRecord(owner, typ, dns.ClassINET, ttl, uint16(len(data)), data)
}

func rawRecord(owner []byte, typ, class uint16, ttl uint32, length uint16, data []byte) []byte {
	return join(owner, be16(typ), be16(class), be32(ttl), be16(length), data)
}

// address is the A or AAAA record for an address, owned by the question's name.
func address(a netip.Addr) []byte {
	typ := dns.TypeA
	if a.Is6() {
		typ = dns.TypeAAAA
	}
	return record(toQuestion, typ, 60, a.AsSlice())
}

// asked is a question as it arrived at a server.
type asked struct {
	id       []byte
	question []byte // name, type, class
}

// readQuery takes the question out of a query.
func readQuery(query []byte) asked {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	return asked{query[:2], query[12 : end+5]}
}

// end is the offset at which the records of a message start that has this question.
func (q asked) end() int { return 12 + len(q.question) }

func (q asked) name() []byte { return q.question[:len(q.question)-4] }

// message is any message with this transaction id. counts: questions, answers, authority, additional.
func (q asked) message(flags uint16, counts [4]uint16, body ...[]byte) []byte {
	b := join(q.id, be16(flags))
	for _, n := range counts {
		b = append(b, be16(n)...)
	}
	return append(b, join(body...)...)
}

// answer is a well-formed response with these records in its answer section.
func (q asked) answer(records ...[]byte) []byte {
	return q.message(flagsResponse, [4]uint16{1, uint16(len(records))}, q.question, join(records...))
}

// query is the question as a program sends it.
func (q asked) query() []byte { return q.message(flagsQuery, [4]uint16{1}, q.question) }

// ask makes a question with an id.
func ask(id uint16, name []byte, typ, class uint16) asked {
	return asked{be16(id), join(name, be16(typ), be16(class))}
}

// framed puts the length before a message, as over TCP.
func framed(b []byte) []byte { return append(be16(uint16(len(b))), b...) }
