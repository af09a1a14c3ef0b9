package listformat

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// packed returns text in every form that Decompress takes.
func packed(t testing.TB, text []byte, options ...zstd.EOption) map[string][]byte {
	t.Helper()
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs, options...)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return map[string][]byte{"none": text, "gzip": gz.Bytes(), "zstd": zs.Bytes()}
}

func unpack(r io.Reader, most int64) ([]byte, error) {
	out, err := decompress(r, most)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(out)
}

func TestDecompress(t *testing.T) {
	for _, text := range []string{"", "a", "a.b\nc.d\n", strings.Repeat("example.com\n", 100_000)} {
		for method, in := range packed(t, []byte(text)) {
			for _, r := range []io.Reader{bytes.NewReader(in), iotest.HalfReader(bytes.NewReader(in))} {
				if got, err := unpack(r, MaxBytes); err != nil || string(got) != text {
					t.Errorf("%s of %d bytes: %d bytes, %v", method, len(text), len(got), err)
				}
			}
			for _, twice := range [][]byte{append(bytes.Clone(in), in...)} {
				if got, err := unpack(bytes.NewReader(twice), MaxBytes); err != nil || string(got) != text+text {
					t.Errorf("two streams of %s: %d bytes, %v", method, len(got), err)
				}
			}
		}
	}
}

func TestDecompressLimit(t *testing.T) {
	const most = 1 << 20
	for method, in := range packed(t, make([]byte, most)) {
		if got, err := unpack(bytes.NewReader(in), most); err != nil || len(got) != most {
			t.Errorf("%s, just so long: %d bytes, %v", method, len(got), err)
		}
	}
	for method, in := range packed(t, make([]byte, most+1)) {
		got, err := unpack(bytes.NewReader(in), most)
		var long *Error
		if !errors.As(err, &long) || !strings.Contains(long.Reason, "longer than 1 MiB") || len(got) != most {
			t.Errorf("%s, too long: %d bytes, %v", method, len(got), err)
		}
	}
	out, err := Decompress(forever("example.com\n"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, out)
	if n != MaxBytes || err == nil || !strings.Contains(err.Error(), "longer than 512 MiB") {
		t.Errorf("an endless list: %d bytes, %v", n, err)
	}
	if n, again := out.Read(make([]byte, 9)); n != 0 || again == nil {
		t.Errorf("behind its end: %d bytes, %v", n, again)
	}
}

// Damage is told from errors of the reader, and nothing of it panics.
func TestDecompressDamage(t *testing.T) {
	broken := errors.New("broken")
	text := []byte(strings.Repeat("a.example\nb.example\nc.example\n", 50))
	for method, in := range packed(t, text) {
		for cut := range in {
			_, err := unpack(bytes.NewReader(in[:cut]), MaxBytes)
			var damaged *Error
			if method != "none" && cut > 3 && (!errors.As(err, &damaged) || damaged.Reason != method+": the file ends too early") {
				t.Errorf("%s cut off at %d: %v", method, cut, err)
			}
			_, err = unpack(io.MultiReader(bytes.NewReader(in[:cut]), iotest.ErrReader(broken)), MaxBytes)
			if !errors.Is(err, broken) {
				t.Errorf("%s broken at %d: %v", method, cut, err)
			}
			bad := bytes.Clone(in)
			bad[cut] ^= 0x55
			if got, err := unpack(bytes.NewReader(bad), MaxBytes); err != nil && !errors.As(err, &damaged) {
				t.Errorf("%s bad at %d: %d bytes, %v", method, cut, len(got), err)
			}
		}
	}
}

// A stream that asks for much memory is refused before it gets it; no goroutines are left.
func TestDecompressMemory(t *testing.T) {
	before := runtime.NumGoroutine()
	asks := []byte(zstdMagic + "\x00\x80") // a window of 64 MiB, RFC 8878 §3.1.1.1.2
	_, err := unpack(bytes.NewReader(append(asks, make([]byte, 100)...)), MaxBytes)
	if err == nil || !strings.Contains(err.Error(), "level 19") {
		t.Errorf("got %v, want a refusal that says how to do it", err)
	}
	text := bytes.Repeat([]byte("example.com\n"), 1<<20)
	for method, in := range packed(t, text, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1)) {
		out, err := decompress(bytes.NewReader(in), MaxBytes)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, out); err != nil || int(n) != len(text) {
			t.Errorf("%s with the greatest usual window: %d bytes, %v", method, n, err)
		}
		if out, err = decompress(bytes.NewReader(in), MaxBytes); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // and no more of it
			t.Errorf("%s: %v", method, err)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// forever repeats a text without end.
func forever(text string) io.Reader { return &repeated{text: strings.Repeat(text, 1+32<<10/len(text))} }

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
