package listformat

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// watched samples the memory in use while it is read: every MiB.
type watched struct {
	in        io.Reader
	read      int64
	sampled   int64
	mostInUse uint64
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	w.read += int64(n)
	if w.read-w.sampled >= 1<<20 {
		w.sampled = w.read
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.mostInUse = max(w.mostInUse, m.HeapInuse)
	}
	return n, err
}

// wantSmall fails t if reading took more than 48 MiB of memory more than there was.
func wantSmall(t *testing.T, w *watched, before uint64) {
	t.Helper()
	if w.mostInUse > before+48<<20 {
		t.Errorf("%d MiB in use after %d MiB, %d before", w.mostInUse>>20, w.read>>20, before>>20)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// Much junk of every sort is read to its end or refused, in little memory.
func TestJunk(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(1 + r.IntN(255))
	}
	var lists strings.Builder
	for lists.Len() < 1<<20 {
		for _, f := range lineFormats {
			for line := range strings.Lines(randomList(r, f.lines)) {
				if len(line) < 1000 && !strings.Contains(line, "\x00") && strings.HasSuffix(line, "\n") {
					lists.WriteString(line)
				}
			}
		}
	}
	junk := map[string]string{
		"noise": string(noise), "lists": lists.String(), "words": strings.Repeat("x ", 30_000) + "\n", "empty lines": "\n",
		"slashes": "server=/" + strings.Repeat("a/", 30_000) + "\n",
	}
	for name, text := range junk {
		for _, format := range []Format{Plain, Hosts, Dnsmasq, Adblock} {
			t.Run(name+" as "+string(format), func(t *testing.T) {
				size := int64(8 << 20)
				if name == "noise" {
					size = 100 << 20
				}
				before := inUse()
				w := &watched{in: io.LimitReader(forever(text), size)}
				_, err := Read(w, Options{Format: format}, func(Item) error { return nil })
				if err != nil || w.read != size {
					t.Errorf("%d bytes read, %v", w.read, err)
				}
				wantSmall(t, w, before)
			})
		}
	}
}

// An endless line, and endless zero bytes, end the reading at once.
func TestEndless(t *testing.T) {
	for _, text := range []string{"x", "\x00", "#", " ", "||"} {
		for _, format := range []Format{Plain, Hosts, Dnsmasq, Adblock} {
			w := &watched{in: forever(text)}
			_, err := Read(w, Options{Format: format}, func(Item) error { return nil })
			var bad *Error
			if !errors.As(err, &bad) || bad.Line != 1 || w.read > 1<<20 {
				t.Errorf("%q as %s: %v after %d bytes", text, format, err, w.read)
			}
		}
	}
}

// A small file that is huge when decompressed ends at the limit, in little memory.
func TestBomb(t *testing.T) {
	const most = 64 << 20
	chunk := bytes.Repeat([]byte("#\n"), 1<<19)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for range most/len(chunk) + 1 {
		_, _ = g.Write(chunk)
		_, _ = z.Write(chunk)
	}
	if err := errors.Join(g.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	for name, bomb := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes()} {
		before := inUse()
		out, err := decompress(bytes.NewReader(bomb), most)
		if err != nil {
			t.Fatal(err)
		}
		w := &watched{in: out}
		_, err = Read(w, Options{Format: Plain}, func(Item) error { return nil })
		var long *Error
		if !errors.As(err, &long) || !strings.Contains(long.Reason, "longer than 64 MiB") || w.read != most {
			t.Errorf("%s of %d bytes: %v after %d bytes", name, len(bomb), err, w.read)
		}
		wantSmall(t, w, before)
	}
}

// A hostile line costs no more than its length.
func TestLongLinesAreQuick(t *testing.T) {
	for _, part := range []string{"a ", "a/", "*/", "$,", "||", "#", "/a", "ü", "a.", "@", "\\", "^", "$badfilter,", "[", ":", "1.", "::1 "} {
		for _, format := range []Format{Plain, Hosts, Dnsmasq, Adblock} {
			for _, before := range []string{"", "server=/", "0.0.0.0 ", "||", "/"} {
				line := before + strings.Repeat(part, 65000/len(part))
				line = line[:min(len(line), 65000)] + "\n"
				start := time.Now()
				_, err := Read(strings.NewReader(strings.Repeat(line, 4)), Options{Format: format}, func(Item) error { return nil })
				if took := time.Since(start); err != nil || took > 2*time.Second {
					t.Errorf("%s of %q: %v, %v", format, before+part, took, err)
				}
			}
		}
	}
}
