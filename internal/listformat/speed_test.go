package listformat

import (
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/testlist"
)

// BenchmarkRead reads a million names of each format of one entry a line.
func BenchmarkRead(b *testing.B) {
	names := testlist.Names(1, 1_000_000)
	for format, around := range map[Format][2]string{
		Plain: {"", ""}, Hosts: {"0.0.0.0 ", ""}, Dnsmasq: {"server=/", "/114.114.114.114"}, Adblock: {"||", "^"},
	} {
		text := around[0] + strings.Join(names, around[1]+"\n"+around[0]) + around[1] + "\n"
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				report, err := Read(strings.NewReader(text), Options{Format: format}, func(Item) error { return nil })
				if err != nil || report.Items != len(names) {
					b.Fatal(report, err)
				}
			}
		})
	}
}

// A name costs its own memory and the copy it is read from, nothing more.
func TestReadAllocates(t *testing.T) {
	const lines = 10_000
	text := strings.Repeat("www.example.com\n", lines)
	for _, format := range []Format{Plain, Adblock} {
		got := testing.AllocsPerRun(5, func() {
			_, _ = Read(strings.NewReader(text), Options{Format: format}, func(Item) error { return nil })
		})
		if got > 3*lines+50 {
			t.Errorf("%s: %v allocations for %d lines", format, got, lines)
		}
	}
}
