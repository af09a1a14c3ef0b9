package audit

import (
	"strings"
)

// reading is what the audit should make of the first bytes of a connection: the counter that says so, and the name.
type reading struct{ counter, name string }

// The bounds of bpf/hello.h.
const (
	mostBytes      = 4096
	mostExtensions = 64
)

// cutError is thrown where the bytes end before the hello does, badError where a length leads out of what it is in.
type (
	cutError struct{}
	badError struct{}
)

// reader takes a hello to pieces. It may look no further than `seen`, and nothing may end behind `whole`.
type reader struct {
	b           []byte
	seen, whole int
	at          int
}

func (r *reader) take(n, within int) []byte {
	switch {
	case r.at+n > within:
		panic(badError{})
	case r.at+n > r.seen:
		panic(cutError{})
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func number(b []byte) (n int) {
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n
}

// vector skips what has its length before it, and is not smaller than least.
func (r *reader) vector(bytes, least, unit int) {
	n := number(r.take(bytes, r.whole))
	if n < least || n%unit != 0 || r.at+n > r.whole {
		panic(badError{})
	}
	r.at += n
}

// read is RFC 8446 section 4.1.2 and RFC 6066 section 3, read from the text: another opinion than the programs'.
func read(b []byte) (out reading) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case cutError:
			out = reading{counter: "cut"}
		case badError:
			out = reading{counter: "malformed"}
		default:
			panic(e)
		}
	}()
	if len(b) < 6 || b[0] != 22 || b[1] != 3 || b[5] != 1 {
		return reading{counter: "no_tls"}
	}
	b = b[:min(len(b), mostBytes)]
	if len(b) < 44 {
		return reading{counter: "cut"}
	}
	record, hello := number(b[3:5]), number(b[6:9])
	r := &reader{b: b, seen: len(b), whole: 9 + hello, at: 9 + 2 + 32}
	if 4+hello > record { // the rest is in another record
		r.seen = min(r.seen, 5+record)
	}
	if b[43] > 32 {
		return reading{counter: "malformed"}
	}
	r.vector(1, 0, 1) // session id
	r.vector(2, 2, 2) // ciphers
	r.vector(1, 1, 1) // compression
	if r.at == r.whole {
		return reading{counter: "no_name"}
	}
	if n := number(r.take(2, r.whole)); r.at+n != r.whole {
		return reading{counter: "malformed"}
	}
	for range mostExtensions + 1 {
		if r.at == r.whole {
			return reading{counter: "no_name"}
		}
		head := r.take(4, r.whole)
		kind, size := number(head[:2]), number(head[2:])
		if r.at+size > r.whole {
			return reading{counter: "malformed"}
		}
		if kind == 0 {
			return r.serverName(size)
		}
		r.at += size
	}
	return reading{counter: "cut"}
}

func (r *reader) serverName(size int) reading {
	if size < 5 {
		panic(badError{})
	}
	end := r.at + size
	head := r.take(5, end)
	if number(head[:2]) != size-2 {
		panic(badError{})
	}
	if head[2] != 0 {
		return reading{counter: "no_name"}
	}
	n := number(head[3:])
	if n == 0 {
		panic(badError{})
	}
	name, ok := hostname(string(r.take(n, end)))
	if !ok {
		return reading{counter: "bad_name"}
	}
	return reading{"name", name}
}

// hostname is the name in lower case without a final dot.
func hostname(s string) (string, bool) {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return "", false
	}
	labels := strings.Split(strings.ToLower(s), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return "", false
	}
	return strings.Join(labels, "."), true
}
