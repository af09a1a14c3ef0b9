package cli

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/hostfile"
)

// inputs opens files, and notes what was read and asked: what a rule set was made of.
type inputs struct {
	checks []hostfile.Check
	files  map[string][sha256.Size]byte
	users  map[string]uint32
	odd    error // why what was noted is not all: a file that changed meanwhile, or could not be read to its end
}

func newInputs(checks ...hostfile.Check) *inputs {
	return &inputs{checks: checks, files: map[string][sha256.Size]byte{}, users: map[string]uint32{}}
}

// newTrustedInputs opens what decides without anybody's asking: nobody but root may write it, or put another in its place.
func newTrustedInputs() *inputs {
	return newInputs(hostfile.Trusted, func(path string, _ *unix.Stat_t) error { return hostfile.TrustedDir(filepath.Dir(path)) })
}

// open is a ruleio.Opener.
func (in *inputs) open(path string) (io.ReadCloser, error) {
	f, err := hostfile.Open(path, in.checks...)
	if err != nil {
		return nil, err
	}
	return &noted{ReadCloser: f, in: in, path: path, sum: sha256.New()}, nil
}

// user is userNumber.
func (in *inputs) user(name string) (uint32, error) {
	n, err := userNumber(name)
	if err == nil {
		in.users[name] = n
	}
	return n, err
}

var errChanged = errors.New("a file changed while it was read")

// note keeps what a file had.
func (in *inputs) note(path string, sum [sha256.Size]byte) {
	if before, twice := in.files[path]; twice && before != sum {
		in.odd = errChanged
	}
	in.files[path] = sum
}

// digest is over all that was noted, whatever the order.
func (in *inputs) digest() [sha256.Size]byte {
	h := sha256.New()
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	text(cacheVersion)
	number(uint64(len(in.files)))
	for _, path := range slices.Sorted(maps.Keys(in.files)) {
		text(path)
		sum := in.files[path]
		h.Write(sum[:])
	}
	number(uint64(len(in.users)))
	for _, name := range slices.Sorted(maps.Keys(in.users)) {
		text(name)
		number(uint64(in.users[name]))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// noted is a file that is being read.
type noted struct {
	io.ReadCloser
	in   *inputs
	path string
	sum  hash.Hash
}

func (n *noted) Read(b []byte) (int, error) {
	size, err := n.ReadCloser.Read(b)
	n.sum.Write(b[:size])
	return size, err
}

// Close reads what nobody wanted to, since it counts, too.
func (n *noted) Close() error {
	if _, err := io.Copy(n.sum, n.ReadCloser); err != nil {
		n.in.odd = err
	} else {
		n.in.note(n.path, [sha256.Size]byte(n.sum.Sum(nil)))
	}
	return n.ReadCloser.Close()
}
