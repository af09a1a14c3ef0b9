package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/pattern"
)

// outcome is what the programs must make of one answer.
type outcome struct {
	moved counts
	name  pattern.Name // of the question, if the answer is believed
	addrs []netip.Addr // in order, with repetitions
	ttl   uint32       // seconds
	// stricter: refused for what package dns lets pass: a pointer that does not lead back, or too few records.
	stricter bool
	// partly: so was a service record, and only that.
	partly bool
}

type counts map[learnCounter]uint64

func refused(c learnCounter) outcome { return outcome{moved: counts{c: 1}} }

// model says what must come of a packet's payload while asked, a query without anything behind its question, is
// outstanding. It is bpf/questions.h, bpf/dns.h and the header of bpf/tc.h once more, from RFC 1035 and the design.
func model(asked, payload []byte, tcp bool) outcome {
	msg, whole := payload, len(payload)
	if tcp {
		if len(payload) < 2 {
			return outcome{}
		}
		whole = int(binary.BigEndian.Uint16(payload))
		msg = payload[2:min(len(payload), 2+whole)]
	} else if whole == 0 {
		return outcome{}
	}
	end, ok := questionEnd(msg)
	switch {
	case !ok:
		return refused(learnCounterCOUNT_ANSWER_BAD_QUESTION)
	case !bytes.Equal(msg[:2], asked[:2]) || !bytes.Equal(msg[12:end], asked[12:]):
		return refused(learnCounterCOUNT_ANSWER_UNASKED)
	case msg[2]&0xf8 != 0x80 || binary.BigEndian.Uint16(msg[4:]) != 1:
		return refused(learnCounterCOUNT_ANSWER_BAD_HEADER)
	case msg[3]&0xf != 0:
		return refused(learnCounterCOUNT_ANSWER_RCODE)
	case binary.BigEndian.Uint16(msg[6:]) == 0:
		return refused(learnCounterCOUNT_ANSWER_EMPTY)
	case binary.BigEndian.Uint16(msg[end-2:]) != dns.ClassINET:
		return refused(learnCounterCOUNT_ANSWER_BAD_QUESTION)
	}
	w := walkModel{msg: msg, at: end}
	w.o.moved, w.o.ttl = counts{}, maxTTL
	return w.answer(end, whole)
}

const (
	maxTTL     = 7 * 24 * 3600 // seconds
	maxRecords = 64
	maxAddrs   = 64
)

// questionEnd is the offset behind the question, which has to be there whole and without pointers.
func questionEnd(msg []byte) (end int, ok bool) {
	for end = 12; end < len(msg) && end-12 < 255; {
		label := int(msg[end])
		if label > 63 {
			return 0, false
		}
		end += label + 1
		if label == 0 {
			return end + 4, end+4 <= len(msg)
		}
	}
	return 0, false
}

// verdict on a part of a message.
type verdict int

const (
	fine verdict = iota
	cut          // ends before its end
	bad
)

// walkModel goes over the answer section.
type walkModel struct {
	msg  []byte
	at   int
	full bool // there were more addresses than there is room for
	o    outcome
}

func (w *walkModel) answer(end, whole int) outcome {
	announced := int(binary.BigEndian.Uint16(w.msg[6:]))
	v, walked := fine, 0
	for ; walked < min(announced, maxRecords); walked++ {
		if v = w.record(); v != fine {
			break
		}
	}
	switch {
	case v == bad || v == cut && len(w.msg) >= whole:
		r := refused(learnCounterCOUNT_ANSWER_MALFORMED)
		for _, c := range []learnCounter{learnCounterCOUNT_ADDRESS_REFUSED, learnCounterCOUNT_RECORD_BAD} {
			if n := w.o.moved[c]; n > 0 {
				r.moved[c] = n
			}
		}
		r.stricter = w.o.stricter || v == cut && w.at == len(w.msg)
		return r
	case v == cut:
		w.o.moved[learnCounterCOUNT_ANSWER_CUT_SEGMENT]++
	case walked < announced:
		w.o.moved[learnCounterCOUNT_ANSWER_CUT_RECORDS]++
	}
	if w.full {
		w.o.moved[learnCounterCOUNT_ANSWER_CUT_ADDRESSES]++
	}
	if len(w.o.addrs) == 0 {
		w.o.moved[learnCounterCOUNT_ANSWER_EMPTY]++
		return w.o
	}
	w.o.moved[learnCounterCOUNT_ANSWERS]++
	w.o.name, _ = pattern.FromWire(w.msg[12 : end-4])
	if w.o.name != pattern.Root {
		w.o.moved[learnCounterCOUNT_LEARNT_NO_RULE] += uint64(len(w.o.addrs))
	}
	return w.o
}

func (w *walkModel) record() verdict {
	start := w.at
	at, v := w.skipName(w.at)
	if v != fine {
		return v
	}
	if at+10 > len(w.msg) {
		return cut
	}
	typ, class := binary.BigEndian.Uint16(w.msg[at:]), binary.BigEndian.Uint16(w.msg[at+2:])
	ttl, size := binary.BigEndian.Uint32(w.msg[at+4:]), int(binary.BigEndian.Uint16(w.msg[at+8:]))
	if at+10+size > len(w.msg) {
		w.at = start
		return cut
	}
	data := w.msg[at+10 : at+10+size]
	w.at = at + 10 + size
	if ttl >= 1<<31 {
		ttl = 0
	}
	w.o.ttl = min(w.o.ttl, ttl)
	if class == dns.ClassINET && (typ == dns.TypeA || typ == dns.TypeAAAA) {
		w.address(data, map[bool]int{true: 4, false: 16}[typ == dns.TypeA])
	}
	if class == dns.ClassINET && (typ == dns.TypeSVCB || typ == dns.TypeHTTPS) && !w.service(at+10, data) {
		w.o.moved[learnCounterCOUNT_RECORD_BAD]++
	}
	return fine
}

// service takes the address hints of a service record, whose data starts at a place: RFC 9460 sections 2.2 and 7.3. False:
// it is none, from where on nothing is taken.
func (w *walkModel) service(start int, data []byte) bool {
	stricter := w.o.stricter
	params, v := w.skipName(start + 2)
	if w.o.stricter {
		w.o.partly = true
	}
	w.o.stricter = stricter
	if v != fine || params-start > len(data) {
		return false
	}
	if data[0] == 0 && data[1] == 0 {
		return true // an alias
	}
	for b := data[params-start:]; len(b) > 0; {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			return false
		}
		key, value := binary.BigEndian.Uint16(b), b[4:4+int(binary.BigEndian.Uint16(b[2:]))]
		b = b[4+len(value):]
		size := map[uint16]int{4: 4, 6: 16}[key]
		if size == 0 {
			continue
		}
		if len(value) == 0 || len(value)%size != 0 {
			return false
		}
		for ; len(value) > 0; value = value[size:] {
			w.address(value[:size], size)
		}
	}
	return true
}

func (w *walkModel) address(data []byte, size int) {
	a, _ := netip.AddrFromSlice(data)
	switch a = a.Unmap(); {
	case len(data) != size:
		w.o.moved[learnCounterCOUNT_RECORD_BAD]++
	case len(w.o.addrs) == maxAddrs:
		w.full = true
	case localAddr(a):
		w.o.moved[learnCounterCOUNT_ADDRESS_REFUSED]++
	default:
		w.o.addrs = append(w.o.addrs, a)
	}
}

func localAddr(a netip.Addr) bool {
	return a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.IsMulticast() ||
		a.Is4() && (a.As4()[0] == 0 || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
}

// skipName is the offset behind an owner name at start. A pointer has to lead to before the name, behind the header.
func (w *walkModel) skipName(start int) (int, verdict) {
	for at := start; ; {
		if at >= len(w.msg) {
			return at, cut
		}
		label := int(w.msg[at])
		switch {
		case label >= 0xc0:
			if at+2 > len(w.msg) {
				return at, cut
			}
			if to := int(binary.BigEndian.Uint16(w.msg[at:]) & 0x3fff); to < 12 || to >= start {
				w.o.stricter = true
				return at, bad
			}
			return at + 2, fine
		case label > 63 || at+label+1-start > 255:
			return at, bad
		}
		at += label + 1
		if label == 0 {
			return at, fine
		}
	}
}
