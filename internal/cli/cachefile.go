package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/ruleio"
)

// cacheVersion is that of what a cache means: it is raised when the same files come to other rules, or findings.
const cacheVersion = "domain-route cache 3"

// cacheFile is the path of a configuration's compiled form.
type cacheFile string

// cacheHead is the first line: what else than the configuration's own files has to be the same.
type cacheHead struct {
	Config []string `json:"config"` // its files, in their order
	Files  []string `json:"files"`  // all that were read
	Users  []string `json:"users"`  // all that were asked for
}

// cacheOf says where the cache of a configuration is: in $CACHE_DIRECTORY, as systemd has it, or /var/cache.
func cacheOf(config string) cacheFile {
	dir, _, _ := strings.Cut(os.Getenv("CACHE_DIRECTORY"), ":")
	if dir == "" {
		dir = "/var/cache/domain-route"
	}
	sum := sha256.Sum256([]byte(config))
	return cacheFile(filepath.Join(dir, "rules-"+hex.EncodeToString(sum[:8])))
}

// read gives what the cache has, or nil if that is nothing of use: there is none, it is of other files than there are
// now, as after every change, or damaged, which is told.
func (c cacheFile) read(a *app, config []string, quiet bool) (*ruleio.Loaded, *[32]byte) {
	l, sum, err := c.decode(config)
	switch {
	case err == nil:
		return l, &sum
	case quiet, errors.Is(err, unix.ENOENT), errors.Is(err, ruleio.ErrStale):
	default:
		a.warn("the cache is of no use, reading the files: %v", err)
	}
	return nil, nil
}

func (c cacheFile) decode(config []string) (l *ruleio.Loaded, sum [32]byte, err error) {
	f, err := hostfile.Open(string(c), hostfile.Trusted)
	if err != nil {
		return nil, sum, err
	}
	defer f.Close()
	if err := hostfile.TrustedDir(filepath.Dir(string(c))); err != nil {
		return nil, sum, err
	}
	r := bufio.NewReader(f)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, sum, fmt.Errorf("%s: %w", c, ruleio.ErrDamaged)
	}
	var head cacheHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, sum, fmt.Errorf("%s: %w", c, ruleio.ErrDamaged)
	}
	in, err := head.inputs(config)
	if err != nil {
		return nil, sum, err
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, sum, err
	}
	if l, sum, err = ruleio.DecodeCache(body, in.digest()); err != nil {
		return nil, sum, fmt.Errorf("%s: %w", c, err)
	}
	return l, sum, nil
}

// inputs looks at everything again. What is gone, or a list more or less, makes the cache a stale one.
func (h cacheHead) inputs(config []string) (*inputs, error) {
	if !slices.Equal(h.Config, config) {
		return nil, ruleio.ErrStale
	}
	in := newTrustedInputs()
	for _, path := range h.Files {
		f, err := in.open(path)
		if err != nil {
			return nil, ruleio.ErrStale
		}
		f.Close()
	}
	for _, name := range h.Users {
		if _, err := in.user(name); err != nil {
			return nil, ruleio.ErrStale
		}
	}
	if in.odd != nil {
		return nil, ruleio.ErrStale
	}
	return in, nil
}

// write keeps what was loaded. That it cannot is no failure: the next load takes longer.
func (c cacheFile) write(config []string, in *inputs, l *loaded) {
	if in.odd != nil {
		return
	}
	head := cacheHead{Config: config, Files: []string{}, Users: []string{}}
	for path := range in.files {
		head.Files = append(head.Files, path)
	}
	for name := range in.users {
		head.Users = append(head.Users, name)
	}
	line, err := json.Marshal(head)
	if err != nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(string(c)), 0o700); err != nil {
		return
	}
	body, err := ruleio.EncodeCache(in.digest(), l.Loaded, l.digest())
	if err != nil {
		return
	}
	_ = hostfile.Replace(string(c), 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, io.MultiReader(bytes.NewReader(line), strings.NewReader("\n"), bytes.NewReader(body)))
		return err
	})
}
