package dataplane

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// Behind a text there is how many rules each target has, be it on one page or across some, and before that the text is
// what it was.
func TestCounts(t *testing.T) {
	for name, before := range map[string]int{"on a page": 0, "across pages": 9000} {
		whole := []byte(strings.Repeat("x.test block\n", before) + "a.test wg0\nb.test wg0,wan0 user=5\nc.test wg0\n")
		want, err := ruleset.CountTargets(whole)
		if err != nil {
			t.Fatal(err)
		}
		var pinned bytes.Buffer
		w, err := flate.NewWriter(&pinned, flate.NoCompression)
		if err == nil {
			_, err = w.Write(whole)
		}
		if err := errors.Join(err, w.Close(), appendCounts(&pinned, whole, []byte("# former.test\n"))); err != nil {
			t.Fatal(err)
		}
		m, length := paged(t, pinned.Bytes())
		got, err := readCounts(m, length)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		deflated, err := readPages(m, 0, length)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated)))
		if err != nil || !bytes.Equal(text, whole) {
			t.Errorf("%s: %v, the text is %d bytes, want %d", name, err, len(text), len(whole))
		}
	}
}

// Numbers behind a text that have no place in one page are read whole: more targets than a page has room for.
func TestManyCounts(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "a%d.test wg%d\n", i, i)
	}
	var pinned bytes.Buffer
	if err := appendCounts(&pinned, []byte(text.String())); err != nil {
		t.Fatal(err)
	}
	m, length := paged(t, pinned.Bytes())
	if got, err := readCounts(m, length); err != nil || len(got) != 1000 {
		t.Errorf("%d targets, %v; want 1000", len(got), err)
	}
}

// A text that a former version wrote has none, and what is damaged is not believed.
func TestNoCounts(t *testing.T) {
	var whole bytes.Buffer
	if err := appendCounts(&whole, []byte("a.test wg0\n")); err != nil {
		t.Fatal(err)
	}
	wrongLength := bytes.Clone(whole.Bytes())
	binary.LittleEndian.PutUint32(wrongLength[len(wrongLength)-countsTail:], 1<<30)
	for name, b := range map[string][]byte{
		"short": []byte("abc"), "none": []byte(strings.Repeat("deflated", 9)), "length": wrongLength,
		"number": bytes.Replace(whole.Bytes(), []byte("1 wg0"), []byte("x wg0"), 1),
		"target": bytes.Replace(whole.Bytes(), []byte("1 wg0"), []byte("1 a/b"), 1),
	} {
		m, length := paged(t, b)
		if counts, err := readCounts(m, length); !errors.Is(err, errNoCounts) {
			t.Errorf("%s: %v, %v", name, counts, err)
		}
	}
}

// paged puts bytes in a map as pinText does.
func paged(t *testing.T, b []byte) (*ebpf.Map, uint64) {
	t.Helper()
	needRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: textPage, MaxEntries: uint32(len(b)/textPage + 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	for i := 0; i*textPage < len(b); i++ {
		page := make([]byte, textPage)
		copy(page, b[i*textPage:])
		if err := m.Put(uint32(i), page); err != nil {
			t.Fatal(err)
		}
	}
	return m, uint64(len(b))
}
