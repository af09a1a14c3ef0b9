package listformat

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message being read from a stream: what is left of it.
type message struct {
	r    *bufio.Reader
	left uint64 // bytes; endless for the outermost, which ends where r does
}

const endless = math.MaxUint64

// eachCategory gives do each category of a geosite.dat. What do leaves of it is skipped.
func eachCategory(in io.Reader, do func(*message) error) error {
	m := message{r: bufio.NewReaderSize(in, 64<<10), left: endless}
	for {
		num, sub, err := m.next()
		if err != nil || num == 0 {
			return err
		}
		if num == fieldEntry {
			if sub.left > maxCategory {
				return notGeosite(fmt.Sprintf("a category of %d bytes", sub.left))
			}
			if err := do(&sub); err != nil {
				return err
			}
		}
		if err := sub.skip(); err != nil {
			return err
		}
	}
}

// code reads a category up to its name and returns that, in the case it has: country_code, or code where there is no
// country_code. Domains that come before it are added to held, with their tags, unless that is nil. A name that is too
// long is none.
func (m *message) code(held *bytes.Buffer) (string, error) {
	code := ""
	for {
		num, sub, err := m.next()
		if err != nil || num == 0 {
			return code, err
		}
		switch {
		case (num == fieldCountry || num == fieldCode) && sub.left <= maxCode:
			text, err := sub.read(nil)
			if err != nil {
				return "", err
			}
			if num == fieldCountry && len(text) > 0 {
				return string(text), nil
			}
			if num == fieldCode {
				code = string(text)
			}
		case num == fieldDomain && held != nil:
			if err := sub.hold(held); err != nil {
				return "", err
			}
		}
		if err := sub.skip(); err != nil {
			return "", err
		}
	}
}

// hold adds a domain with its tag to held.
func (m *message) hold(held *bytes.Buffer) error {
	if uint64(held.Len())+m.left > maxHeld {
		return notGeosite(fmt.Sprintf("a category with more than %d MiB before its name", maxHeld>>20))
	}
	head := protowire.AppendTag(nil, fieldDomain, protowire.BytesType)
	held.Write(protowire.AppendVarint(head, m.left))
	b, err := m.read(nil)
	held.Write(b)
	return err
}

// next returns the number of the next field of m that has a length, and that field, which is to be read or skipped to
// its end before anything else is. Fields of other types are skipped. The number is 0 where m ends.
func (m *message) next() (protowire.Number, message, error) {
	for {
		if end, err := m.end(); end || err != nil {
			return 0, message{}, err
		}
		tag, err := m.varint()
		if err != nil {
			return 0, message{}, err
		}
		num, typ := protowire.DecodeTag(tag)
		if num < protowire.MinValidNumber || tag>>3 > uint64(protowire.MaxValidNumber) {
			return 0, message{}, notGeosite(fmt.Sprintf("field number %d", tag>>3))
		}
		fixed := uint64(0)
		switch typ {
		case protowire.VarintType:
			_, err = m.varint()
		case protowire.Fixed32Type:
			fixed = 4
		case protowire.Fixed64Type:
			fixed = 8
		case protowire.BytesType:
			size, err := m.varint()
			if err == nil {
				err = m.take(size)
			}
			return num, message{m.r, size}, err
		default:
			err = notGeosite(fmt.Sprintf("field %d has wire type %d", num, typ))
		}
		if err == nil {
			err = m.take(fixed)
		}
		if err == nil {
			err = (&message{m.r, fixed}).skip()
		}
		if err != nil {
			return 0, message{}, err
		}
	}
}

// end tells whether nothing is left of m.
func (m *message) end() (bool, error) {
	if m.left != endless {
		return m.left == 0, nil
	}
	if _, err := m.r.Peek(1); !errors.Is(err, io.EOF) {
		return false, err
	}
	return true, nil
}

// take takes size bytes off what is left of m.
func (m *message) take(size uint64) error {
	if m.left == endless {
		return nil
	}
	if size > m.left {
		return notGeosite(fmt.Sprintf("a field of %d bytes where %d are left", size, m.left))
	}
	m.left -= size
	return nil
}

// varint reads a number.
func (m *message) varint() (uint64, error) {
	most := min(m.left, 10)
	b, err := m.r.Peek(int(most))
	v, n := protowire.ConsumeVarint(b)
	switch {
	case n >= 0:
		if _, err := m.r.Discard(n); err != nil {
			return 0, err
		}
		return v, m.take(uint64(n))
	case err != nil:
		return 0, cut(err)
	}
	return 0, notGeosite("a number that does not end")
}

// read appends what is left of m to b.
func (m *message) read(b []byte) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, m.left)...)
	m.left = 0
	_, err := io.ReadFull(m.r, b[at:])
	return b, cut(err)
}

// skip skips what is left of m.
func (m *message) skip() error {
	for m.left > 0 {
		n, err := m.r.Discard(int(min(m.left, 1<<30)))
		m.left -= uint64(n)
		if err != nil {
			return cut(err)
		}
	}
	return nil
}

// cut makes the error of a file that ends too soon.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Reason: "the geosite.dat ends in the middle of a field: it is cut off, or something else"}
	}
	return err
}

func notGeosite(what string) error {
	return &Error{Reason: "this is no geosite.dat, or it is damaged: " + what}
}

// fields gives do each field of a message that is in memory: number is a varint's, text that of a field with a length,
// which is of b.
func fields(b []byte, do func(num protowire.Number, typ protowire.Type, number uint64, text []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return notGeosite(protowire.ParseError(n).Error())
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(num, typ, b)
		if n < 0 {
			return notGeosite(protowire.ParseError(n).Error())
		}
		var number uint64
		var text []byte
		switch typ {
		case protowire.VarintType:
			number, _ = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, _ = protowire.ConsumeBytes(b)
		}
		if err := do(num, typ, number, text); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
