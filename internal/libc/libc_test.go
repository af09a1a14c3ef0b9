package libc

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// own is the GNU C library of this machine.
func own(t *testing.T) *Library {
	t.Helper()
	all, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.Close)
	i := slices.IndexFunc(all.Libraries, func(l *Library) bool { return filepath.Base(l.Path) == "libc.so.6" })
	switch {
	case i >= 0:
		return all.Libraries[i]
	case os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1":
		t.Fatal("no glibc here")
	}
	t.Skip("no glibc here")
	return nil
}

func TestFind(t *testing.T) {
	l := own(t)
	var names []string
	for _, f := range l.Functions {
		names = append(names, f.Name)
		if f.Number != functions[f.Name] {
			t.Errorf("%s has the number %d", f.Name, f.Number)
		}
	}
	slices.Sort(names)
	want := []string{"getaddrinfo", "gethostbyname", "gethostbyname2", "gethostbyname2_r", "gethostbyname_r"}
	if !slices.Equal(names, want) {
		t.Errorf("%s: %v, want %v", l.Path, names, want)
	}
	st, err := os.Stat(l.Open())
	there, err2 := os.Stat(l.Path)
	if err != nil || err2 != nil || !os.SameFile(st, there) {
		t.Errorf("%s is not %s: %v, %v", l.Open(), l.Path, err, err2)
	}
}

// TestInstalled: where distributions keep their libraries, each file once, and nothing else.
func TestInstalled(t *testing.T) {
	text, err := os.ReadFile(own(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	machine := map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "aarch64"}[machineOf[goarch(t)]]
	for _, file := range []string{"usr/lib64/libc.so.6", "lib/ld-musl-" + machine + ".so.1", "usr/lib/musl/lib/libc.so",
		"usr/lib/" + machine + "-linux-gnu/glibc-hwcaps/x/libc.so.6", "usr/lib/games/libc.so.6"} {
		put(t, filepath.Join(root, file), text)
	}
	put(t, filepath.Join(root, "usr/lib32/libc.so.6"), withByte(text, elf.EI_CLASS, byte(elf.ELFCLASS32)))
	put(t, filepath.Join(root, "usr/lib/"+machine+"-linux-gnu/libc.so"), []byte("/* GNU ld script */\n"))
	if err := os.Symlink("usr/lib64", filepath.Join(root, "lib64")); err != nil {
		t.Fatal(err)
	}
	f := finder{root: root, seen: map[string]bool{}}
	if err := f.installed(); err != nil {
		t.Fatal(err)
	}
	defer f.found.Close()
	var got []string
	for _, l := range f.found.Libraries {
		got = append(got, strings.TrimPrefix(l.Path, root+"/"))
	}
	want := []string{"lib/ld-musl-" + machine + ".so.1", "lib64/libc.so.6", "usr/lib/musl/lib/libc.so",
		"usr/lib/" + machine + "-linux-gnu/glibc-hwcaps/x/libc.so.6"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func goarch(t *testing.T) string {
	t.Helper()
	for arch := range machineOf {
		if l := own(t); l.file != nil {
			f, err := elf.NewFile(l.file)
			if err == nil && f.Machine == machineOf[arch] {
				return arch
			}
		}
	}
	t.Fatal("an unknown machine")
	return ""
}

func put(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

func withByte(b []byte, at int, to byte) []byte {
	b = slices.Clone(b)
	b[at] = to
	return b
}

// TestMapped: a copy that a process maps is found although it is deleted, by what the process maps and not by its name.
func TestMapped(t *testing.T) {
	text, err := os.ReadFile(own(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root") // other processes' maps
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "libc.so.6")
	put(t, path, text)
	cmd := exec.Command("cat")
	cmd.Env = []string{"LD_LIBRARY_PATH=" + dir}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	// It echoes a byte once it is loaded.
	fmt.Fprintln(in)
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	all, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	i := slices.IndexFunc(all.Libraries, func(l *Library) bool { return l.Path == path+" (deleted)" && l.PID == cmd.Process.Pid })
	if i < 0 {
		t.Fatalf("%s is not found", path)
	}
	if have, err := os.Stat(all.Libraries[i].Open()); err != nil || !os.SameFile(have, st) {
		t.Errorf("another file is open: %v", err)
	}
}

func TestParseMapping(t *testing.T) {
	for _, c := range []struct {
		line string
		want mapping
	}{
		{"7f1c0-7f1d0 r-xp 00028000 fe:00 1234                       /usr/lib/libc.so.6", mapping{"7f1c0-7f1d0", "/usr/lib/libc.so.6"}},
		{"00400000-00401000 r-xp 00000000 fe:00 9 /a b/ld-musl-x86_64.so.1", mapping{"400000-401000", "/a b/ld-musl-x86_64.so.1"}},
		{"7f1c0-7f1d0 r-xp 00028000 fe:00 1234 /lib/libc-2.31.so (deleted)", mapping{"7f1c0-7f1d0", "/lib/libc-2.31.so (deleted)"}},
		{"7f1c0-7f1d0 r--p 00000000 fe:00 1234 /usr/lib/libc.so.6", mapping{}},
		{"7f1c0-7f1d0 r-xp 00000000 fe:00 1234 /usr/lib/libcap.so.2", mapping{}},
		{"7f1c0-7f1d0 r-xp 00000000 00:00 0", mapping{}},
		{"", mapping{}},
	} {
		got, ok := parseMapping(c.line)
		if got != c.want || ok != (c.want != mapping{}) {
			t.Errorf("%q: %+v, %v", c.line, got, ok)
		}
	}
}

// TestHostileFiles: users choose what is mapped under such a name.
func TestHostileFiles(t *testing.T) {
	text, err := os.ReadFile(own(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	// An ELF header keeps the place of the section headers at 40; each has 64 bytes, flags at 8 and size at 32.
	sections := int(uint64(text[40]) | uint64(text[41])<<8 | uint64(text[42])<<16 | uint64(text[43])<<24)
	i := slices.IndexFunc(f.Sections, func(s *elf.Section) bool { return s.Type == elf.SHT_DYNSYM })
	compressed := withByte(text, sections+i*64+8+1, text[sections+i*64+8+1]|byte(elf.SHF_COMPRESSED>>8))
	huge := withByte(text, sections+i*64+32+5, 1)
	for name, b := range map[string][]byte{"empty": {}, "short": text[:100], "cut": text[:len(text)/2], "compressed": compressed, "huge": huge} {
		if found, err := findFunctions(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestBehindMark: functions of libraries that are built for Intel CET are probed behind the mark they begin with.
func TestBehindMark(t *testing.T) {
	text, err := os.ReadFile(own(t).Path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := findFunctions(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		if f.Name == "getaddrinfo" {
			copy(text[f.Offset:], endbr64)
		}
	}
	after, err := findFunctions(bytes.NewReader(text))
	if err != nil || len(after) != len(before) {
		t.Fatal(after, err)
	}
	for i, f := range before {
		if f.Name == "getaddrinfo" && machineOf[goarch(t)] == elf.EM_X86_64 {
			f.Offset += 4
		}
		if after[i] != f {
			t.Errorf("%+v, want %+v", after[i], f)
		}
	}
}

// TestNumbers compares the functions' numbers with those of the programs.
func TestNumbers(t *testing.T) {
	text, err := os.ReadFile("../../bpf/libc_room.h")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile(`(?s)enum libc_function \{(.*?)\}`).FindSubmatch(text)
	if listed == nil {
		t.Fatal("no enum libc_function")
	}
	names := regexp.MustCompile(`LIBC_(\w+)`).FindAllSubmatch(listed[1], -1)
	if len(names) != len(functions) {
		t.Errorf("%d functions in bpf/libc.h, %d here", len(names), len(functions))
	}
	for i, n := range names {
		if functions[strings.ToLower(string(n[1]))] != uint64(i+1) {
			t.Errorf("%s is not %s", n[1], strconv.Itoa(i+1))
		}
	}
}
