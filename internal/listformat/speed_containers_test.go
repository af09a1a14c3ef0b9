package listformat

import (
	"bytes"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/testlist"
)

// BenchmarkReadContainers reads a million names of each format of other programs.
func BenchmarkReadContainers(b *testing.B) {
	names := testlist.Names(1, 1_000_000)
	patterns := func(yield func(pattern.Pattern) bool) {
		for _, name := range names {
			n, err := pattern.ParseName(name)
			if err != nil || !yield(pattern.Pattern{Kind: pattern.Suffix, Name: n}) {
				return
			}
		}
	}
	for _, format := range []Format{V2fly, Geosite, SingBox, ClashDomain, ClashClassical} {
		var text bytes.Buffer
		wrote, err := Write(&text, WriteOptions{Format: format, Category: "x"}, patterns)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				report, err := Read(bytes.NewReader(text.Bytes()), Options{Format: format, Category: "x"}, func(Item) error { return nil })
				if err != nil || report.Items != wrote.Items {
					b.Fatal(report, err)
				}
			}
		})
	}
}
