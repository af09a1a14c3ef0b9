package listformat

import (
	"errors"
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

// Write writes patterns as a list. Those that the format cannot express are counted and left out, never widened.
func Write(w io.Writer, o WriteOptions, patterns iter.Seq[pattern.Pattern]) (Report, error) {
	return Report{}, errors.New("not written yet")
}
