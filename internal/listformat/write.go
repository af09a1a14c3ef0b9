package listformat

import (
	"bufio"
	"fmt"
	"io"
	"iter"

	"github.com/domain-route/domain-route/internal/pattern"
)

// WriteOptions say how to write a list.
type WriteOptions struct {
	Format   Format
	Exact    bool   // Plain: as in Options, what a bare name is to mean
	Category string // Geosite: the name of the one category there is
	Value    string // Dnsmasq: what comes around the names, as in "nftset=4#inet#fw4#vpn" or "server=192.0.2.53"
}

// writing is one list being written: what every format's writer is given.
type writing struct {
	out      *bufio.Writer // keeps its first error, which Write returns: writers need not look
	o        WriteOptions
	report   *Report
	patterns iter.Seq[pattern.Pattern]
}

// writers holds every format's writer. Errors are *Error, for options that make no sense.
var writers = map[Format]func(*writing) error{
	Plain:          writePlain,
	Hosts:          writeHosts,
	Dnsmasq:        writeDnsmasq,
	Adblock:        writeAdblock,
	V2fly:          writeV2fly,
	Geosite:        writeGeosite,
	SingBox:        writeSingBox,
	ClashDomain:    writeClashDomain,
	ClashClassical: writeClashClassical,
}

// Write writes patterns as a list, in their order. Those that the format cannot express are counted and left out,
// never widened. Errors are of w, or *Error for options that make no sense.
func Write(w io.Writer, o WriteOptions, patterns iter.Seq[pattern.Pattern]) (Report, error) {
	write, ok := writers[o.Format]
	if !ok {
		return Report{}, &Error{Reason: fmt.Sprintf("unknown format %q", o.Format)}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	report := Report{Skipped: []Skipped{}}
	if err := write(&writing{out, o, &report, patterns}); err != nil {
		return report, err
	}
	return report, out.Flush()
}

// lines writes a line for each pattern: what line appends to b for it. A pattern for which it returns b as it was
// cannot be expressed and is counted under the word for its kind. So are those with names that only our own escapes
// can spell, unless escapes is set.
func (w *writing) lines(escapes bool, line func(b []byte, p pattern.Pattern) []byte) error {
	var buf []byte
	for p := range w.patterns {
		if !escapes && !spelt(p.Name) {
			w.skip("escaped name", p)
			continue
		}
		if buf = line(buf[:0], p); len(buf) == 0 {
			w.skip(kindWord(p.Kind), p)
			continue
		}
		w.report.Items++
		if _, err := w.out.Write(append(buf, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// skip counts a pattern that the format cannot express.
func (w *writing) skip(kind string, p pattern.Pattern) { w.report.skip(kind, 0, p.String()) }

// spelt tells whether the text of n needs no escapes, so that every tool reads it alike.
func spelt(n pattern.Name) bool {
	for name, ok := n, true; ok && len(name) > 1; name, ok = name.Parent() {
		for i := 1; i <= int(name[0]) && i < len(name); i++ {
			c := name[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// kindWord says what a pattern is, for the reports of what could not be written.
func kindWord(k pattern.Kind) string {
	switch k {
	case pattern.Suffix:
		return "suffix"
	case pattern.Subdomains:
		return "subdomains"
	case pattern.Exact:
		return "exact"
	case pattern.Default:
		return "default"
	}
	return "address"
}
