package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/domain-route/domain-route/internal/testlist"
)

// probes is how many names are matched for one figure. They are the first of each rule set.
const probes = 1000

// ruleBook is configurations of several sizes: a list of names in the shape of public ones, and the names that are probed.
type ruleBook struct {
	dir   string
	names []string // below the first names of the list
	addrs []netip.AddrPort
}

// config is the configuration with so many names, or the same with its list compressed.
func (k *ruleBook) config(size int, compressed bool) string {
	if compressed {
		return filepath.Join(k.dir, fmt.Sprintf("config-%d-gz.yaml", size))
	}
	return filepath.Join(k.dir, fmt.Sprintf("config-%d.yaml", size))
}

// cache is the directory for compiled configurations.
func (k *ruleBook) cache() string { return filepath.Join(k.dir, "cache") }

// writeRules has a process of its own write the lists, and serves the names that are probed. A process that starts
// another passes its own peak of memory on to it, so this one must stay small.
func (w *world) writeRules(sizes []int) (*ruleBook, error) {
	book := &ruleBook{dir: filepath.Join(w.Dir, "lists")}
	args := []string{book.dir}
	for _, size := range sizes {
		args = append(args, strconv.Itoa(size))
	}
	cmd := w.HostCommand(context.Background(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnv+"=lists")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("write rule lists: %w: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(book.dir, "probes.txt"))
	if err != nil {
		return nil, err
	}
	for i, domain := range strings.Fields(string(text)) {
		name, addr := "www."+domain, netip.AddrFrom4([4]byte{21, 0, byte(i >> 8), byte(i)})
		book.names = append(book.names, name)
		book.addrs = append(book.addrs, netip.AddrPortFrom(addr, connectPort))
		w.DNS.Set(name, addr)
	}
	return book, nil
}

// listsMain is the process that writes a book: its arguments are the directory and the sizes.
func listsMain() int {
	if err := writeLists(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench lists:", err)
		return 1
	}
	return 0
}

func writeLists(dir string, sizes []string) error {
	if err := os.MkdirAll(filepath.Join(dir, "cache"), 0o700); err != nil {
		return err
	}
	list := testlist.New(1)
	names := list.Take(probes)
	if err := write(dir, "probes.txt", []byte(strings.Join(names, "\n"))); err != nil {
		return err
	}
	var text bytes.Buffer
	written := probes
	for _, size := range sizes {
		n, err := strconv.Atoi(size)
		if err != nil {
			return err
		}
		for _, name := range list.Take(max(0, n-written)) {
			fmt.Fprintln(&text, name)
		}
		written = max(n, written)
		if err := writeSize(dir, n, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writeSize writes the configuration of a size, plain and compressed. The probed names are direct, so that one socket can be
// connected again and again, bound nowhere.
func writeSize(dir string, n int, names []byte) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(names)
	if err := errors.Join(err, z.Close()); err != nil {
		return err
	}
	file := fmt.Sprintf("names-%d.txt", n)
	for _, suffix := range []string{"", "-gz"} {
		config := "lists:\n  - {file: probes.txt, format: plain, match: suffix, target: direct}\n"
		if len(names) > 0 {
			config += fmt.Sprintf("  - {file: %s, format: plain, match: suffix, target: vpn0}\n", strings.Replace(file, ".txt", suffix+".txt", 1))
		}
		if err := write(dir, fmt.Sprintf("config-%d%s.yaml", n, suffix), []byte(config)); err != nil {
			return err
		}
	}
	return errors.Join(write(dir, file, names), write(dir, strings.Replace(file, ".txt", "-gz.txt", 1), packed.Bytes()))
}

func write(dir, name string, b []byte) error { return os.WriteFile(filepath.Join(dir, name), b, 0o600) }
