package listformat

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// MaxBytes is how much text one list may hold, decompressed.
const MaxBytes = 512 << 20

// maxWindow is the most memory a zstd stream may ask for. 8 MiB is what every level up to 19 needs, and what
// RFC 8878 §3.1.1.1.2 recommends to support; this is level 20's.
const maxWindow = 32 << 20

// What compressed streams begin with: RFC 1952 §2.3.1 with the one method there is, RFC 8878 §3.1.1.
const (
	gzipMagic = "\x1f\x8b\x08"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// Decompress returns what is to be read of r: what it holds decompressed, if it begins like a gzip or zstd stream, else
// r as it is; MaxBytes of it at most, in bounded memory. Errors, of the reader returned too, are r's own, or *Error for
// damaged streams and for more than MaxBytes.
func Decompress(r io.Reader) (io.Reader, error) { return decompress(r, MaxBytes) }

func decompress(r io.Reader, most int64) (io.Reader, error) {
	b := buffered(r)
	magic, err := b.Peek(len(zstdMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(magic) >= len(gzipMagic) && string(magic[:len(gzipMagic)]) == gzipMagic:
		return newUnpacker("gzip", b, most, func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })
	case string(magic) == zstdMagic:
		return newUnpacker("zstd", b, most, func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		})
	}
	return &bounded{in: b, most: most, left: most}, nil
}

// newUnpacker returns a bounded reader of what open makes of b.
func newUnpacker(method string, b *bufio.Reader, most int64, open func(io.Reader) (io.Reader, error)) (io.Reader, error) {
	u := &unpacker{method: method, source: source{in: b}}
	out, err := open(&u.source)
	if err != nil {
		return nil, u.why(err)
	}
	u.out = out
	return &bounded{in: u, most: most, left: most}, nil
}

// unpacker reads a compressed stream and tells errors of the stream from those of the reader it comes from.
type unpacker struct {
	method string
	source source
	out    io.Reader
}

func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.out.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.why(err)
	}
	return n, err
}

func (u *unpacker) why(err error) error {
	switch {
	case u.source.err != nil:
		return u.source.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrWindowSizeTooSmall):
		return &Error{Reason: fmt.Sprintf("zstd: the list needs more than %d MiB of memory to decompress; compress it with level 19 or less, without --long", maxWindow>>20)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Reason: u.method + ": the file ends too early"}
	}
	return &Error{Reason: fmt.Sprintf("%s: the file is damaged: %v", u.method, err)}
}

// source keeps the error of the reader that a stream comes from.
type source struct {
	in  io.Reader
	err error // nil at the end of it
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// bounded reads most bytes of in, and ends with an error if there are more.
type bounded struct {
	in   io.Reader
	most int64
	left int64 // -1 after the end
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.tooLong()
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.in.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, b.tooLong()
	}
	return n, err
}

func (b *bounded) tooLong() error {
	return &Error{Reason: fmt.Sprintf("the list is longer than %d MiB, decompressed; split it", b.most>>20)}
}
