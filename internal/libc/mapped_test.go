package libc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A fakeProc stands for /proc.
type fakeProc struct {
	t    *testing.T
	root string
	n    int // of files
}

func newProc(t *testing.T) *fakeProc {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root") // other users' files
	}
	p := &fakeProc{t: t, root: t.TempDir()}
	p.home("thread-self")
	return p
}

func (p *fakeProc) home(process string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Join(p.root, process, "ns"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Symlink("net:[1]", filepath.Join(p.root, process, "ns/net")); err != nil {
		p.t.Fatal(err)
	}
}

// file makes one that is named as C libraries are.
func (p *fakeProc) file(owner int, text []byte) string {
	p.t.Helper()
	p.n++
	path := filepath.Join(p.root, "files", strconv.Itoa(p.n), "libc.so.6")
	put(p.t, path, text)
	if err := os.Chown(path, owner, owner); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// maps has a process map files. In maps, all have the same device and inode.
func (p *fakeProc) maps(pid int, files ...string) {
	p.t.Helper()
	p.home(strconv.Itoa(pid))
	dir := filepath.Join(p.root, strconv.Itoa(pid))
	var text strings.Builder
	for i, file := range files {
		span := fmt.Sprintf("%x-%x", 0x1000*(i+1), 0x1000*(i+2))
		fmt.Fprintf(&text, "0000%s r-xp 00000000 00:2a 257                        %s\n", strings.ReplaceAll(span, "-", "-0000"), file)
		if err := os.MkdirAll(filepath.Join(dir, "map_files"), 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(dir, "map_files", span)); err != nil {
			p.t.Fatal(err)
		}
	}
	put(p.t, filepath.Join(dir, "maps"), []byte(text.String()))
}

// hangs makes a process whose maps cannot be read, for as long as the test goes on.
func (p *fakeProc) hangs(pid int) {
	p.t.Helper()
	p.home(strconv.Itoa(pid))
	path := filepath.Join(p.root, strconv.Itoa(pid), "maps")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	})
}

func (p *fakeProc) find() Found {
	p.t.Helper()
	f := finder{proc: p.root, seen: map[string]bool{}}
	f.mapped()
	p.t.Cleanup(f.found.Close)
	return f.found
}

func (f Found) paths() []string {
	var all []string
	for _, l := range f.Libraries {
		all = append(all, l.Path)
	}
	return all
}

// TestLookAlikes: on btrfs, maps tells files of different subvolumes by the same device and inode.
func TestLookAlikes(t *testing.T) {
	p, good := newProc(t), lookUps("getaddrinfo", 1).bytes()
	a, b, c := p.file(0, good), p.file(0, good), p.file(0, good)
	p.maps(1, a, b)
	p.maps(2, a, c)
	if got := p.find(); !slices.Equal(got.paths(), []string{a, b, c}) || got.Skipped != 0 || got.Late {
		t.Errorf("found %+v, want %v", got, []string{a, b, c})
	} else if got.Libraries[0].PID != 1 || got.Libraries[2].PID != 2 {
		t.Errorf("processes %d, %d", got.Libraries[0].PID, got.Libraries[2].PID)
	}
}

// TestLimits: what users run makes no more work than so much, and takes no room from root's.
func TestLimits(t *testing.T) {
	good, bad := lookUps("getaddrinfo", 1).bytes(), lookUps("gethostname", 1).bytes()
	for _, c := range []struct {
		name    string
		owners  int // from 1000 on
		each    int // files
		text    []byte
		roots   int // files of root, good ones
		found   int
		skipped int
		why     []string
	}{
		{"few", 2, 8, good, 2, 18, 0, nil},
		{"of each user", 2, 10, good, 12, 28, 4, []string{"at most 8 of each user are"}},
		{"in all", 8, 9, good, 2, 64, 10, []string{"at most 8 of each user are", "at most 64 are"}},
		{"no libraries", 3, 33, bad, 2, 2, 3, []string{"too many files have such names"}},
		{"no libraries, many users", 10, 30, bad, 2, 2, 46, []string{"too many files have such names"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProc(t)
			var users, roots []string
			for owner := range c.owners {
				for range c.each {
					users = append(users, p.file(1000+owner, c.text))
				}
			}
			for range c.roots {
				roots = append(roots, p.file(0, good))
			}
			p.maps(1, append(slices.Clone(users), roots...)...)
			p.maps(2, users...)
			got := p.find()
			if len(got.Libraries) != c.found || got.Skipped != c.skipped || !slices.Equal(got.Why, c.why) || got.Late {
				t.Errorf("%d found, %d skipped: %q, late: %v; want %d, %d: %q", len(got.Libraries), got.Skipped, got.Why, got.Late, c.found, c.skipped, c.why)
			}
			if first := got.paths()[:c.roots]; !slices.Equal(first, roots) {
				t.Errorf("first are %q, want %q", first, roots)
			}
		})
	}
}

// TestRefusedOnce: a file that is no library is not looked into for each process again, nor one that is installed.
func TestRefusedOnce(t *testing.T) {
	p := newProc(t)
	bad, good := p.file(0, lookUps("gethostname", 1).bytes()), p.file(0, lookUps("getaddrinfo", 1).bytes())
	for pid := range 20 {
		p.maps(pid+1, bad, good)
	}
	f := finder{proc: p.root, seen: map[string]bool{}}
	home := "net:[1]"
	if all := f.candidates(time.Now().Add(time.Minute)); len(all) != 2 || len(all[0].places) != maxPlaces {
		t.Errorf("%d files are to be looked into, want 2", len(all))
	}
	if err := f.add(bad); !refused(err) {
		t.Errorf("add: %v", err)
	}
	if all := f.candidates(time.Now().Add(time.Minute)); len(all) != 1 || len(f.process(1, home).files) != 2 {
		t.Errorf("%d files are to be looked into, want 1", len(all))
	}
}

// TestEnded: processes end while they are looked at; another one maps the same.
func TestEnded(t *testing.T) {
	p, good := newProc(t), lookUps("getaddrinfo", 1).bytes()
	file, other := p.file(0, good), p.file(0, good)
	p.maps(1, file)
	p.maps(2, file)
	p.maps(3, file)
	f := finder{proc: p.root, seen: map[string]bool{}}
	all := f.candidates(time.Now().Add(time.Minute))
	if len(all) != 1 {
		t.Fatalf("%d files", len(all))
	}
	if err := os.RemoveAll(filepath.Join(p.root, "1")); err != nil {
		t.Fatal(err)
	}
	// Another process has the number by now.
	if err := os.RemoveAll(filepath.Join(p.root, "2")); err != nil {
		t.Fatal(err)
	}
	p.maps(2, other)
	l := all[0].read()
	if l == nil || l.PID != 3 {
		t.Fatalf("%+v, want what process 3 maps", l)
	}
	l.file.Close()
}

// TestHanging: a process or a file that does not answer hides no other, and nothing waits for many of them.
func TestHanging(t *testing.T) {
	p := newProc(t)
	file := p.file(0, lookUps("getaddrinfo", 1).bytes())
	p.hangs(1)
	p.maps(2, file)
	if got := p.find(); !slices.Equal(got.paths(), []string{file}) || !got.Late {
		t.Errorf("one hangs: %+v", got)
	}
	for pid := 3; pid < 13; pid++ {
		p.hangs(pid)
		if err := os.Chown(filepath.Join(p.root, strconv.Itoa(pid)), 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	p.maps(13, p.file(0, lookUps("getaddrinfo", 1).bytes()))
	start := time.Now()
	// Those of root come first: a user's processes leave no time for others.
	if got := p.find(); len(got.Libraries) != 2 || !got.Late {
		t.Errorf("many hang: %+v", got)
	}
	if took := time.Since(start); took > wholeScan+oneStep {
		t.Errorf("took %v", took)
	}
}

// TestLongMaps: a process may map its memory in a million parts.
func TestLongMaps(t *testing.T) {
	p := newProc(t)
	file := p.file(0, lookUps("getaddrinfo", 1).bytes())
	p.maps(1, file)
	path := filepath.Join(p.root, "1/maps")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := "7f0000000000-7f0000001000 rw-p 00000000 00:00 0                          [anon: " + strings.Repeat("x", 4000) + "]\n"
	put(t, path, append(bytes.Repeat([]byte(line), 20_000), text...))
	f := finder{proc: p.root, seen: map[string]bool{}}
	var found []*candidate
	if n := allocated(func() { found = f.process(1, "net:[1]").files }); n > 1_000_000 || len(found) != 1 {
		t.Errorf("%d bytes of memory, %d files", n, len(found))
	}
}
