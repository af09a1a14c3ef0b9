package hostfile

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is no regular file is refused at once, in words; a pipe nobody writes to would otherwise be waited for.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	check(t, unix.Mkfifo(at("pipe"), 0o600))
	check(t, os.Symlink("pipe", at("to-pipe")))
	check(t, os.Symlink("loop", at("loop")))
	check(t, os.Symlink("nowhere", at("dangling")))
	socket, err := net.Listen("unix", at("socket"))
	check(t, err)
	defer socket.Close()
	check(t, os.WriteFile(at("large"), nil, 0o600))
	check(t, os.Truncate(at("large"), MaxBytes+1))
	for name, want := range map[string]string{
		"pipe": "is a pipe, not a file; to read one, give it as standard input: -", "to-pipe": "is a pipe", "loop": "loop of symbolic links",
		"dangling": "leads to nowhere, which does not exist", "socket": "is a socket", "large": "larger than 2 GiB", ".": "is a directory",
		"gone": "no such file", "large/x": "not a directory", "/dev/null": "is a device", "/dev/zero": "is a device",
	} {
		path := at(name)
		if filepath.IsAbs(name) {
			path = name
		}
		f, err := Open(path)
		var e *Error
		if f != nil || !errors.As(err, &e) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestOpenReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	check(t, os.WriteFile(path, []byte("example.com\n"), 0o600))
	check(t, os.Symlink("list", path+"-link"))
	f, err := Open(path + "-link")
	check(t, err)
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "example.com\n" {
		t.Errorf("%q, %v", b, err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// What says that it is short and is endless (files of /proc, growing ones) ends with an error.
func TestLimit(t *testing.T) {
	n, err := io.Copy(io.Discard, Limit("x", endless{}))
	if err == nil || n > MaxBytes || !strings.Contains(err.Error(), "larger than 2 GiB") {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestTrusted(t *testing.T) {
	switch {
	case os.Getuid() == 0:
	case os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1":
		t.Fatal("needs root to give files away")
	default:
		t.Skip("needs root to give files away")
	}
	path := filepath.Join(t.TempDir(), "f")
	check(t, os.WriteFile(path, nil, 0o600))
	for _, tt := range []struct {
		uid, gid int
		mode     os.FileMode
		want     string
	}{
		{0, 0, 0o644, ""}, {0, 0, 0o664, ""}, {0, 100, 0o644, ""},
		{0, 100, 0o664, "may be written by others (mode 0664); chmod go-w "},
		{0, 0, 0o646, "may be written by others (mode 0646); chmod go-w "},
		{1000, 0, 0o600, "belongs to user 1000, who could change what root does; chown root "},
	} {
		check(t, os.Chown(path, tt.uid, tt.gid))
		check(t, os.Chmod(path, tt.mode))
		f, err := Open(path, Trusted)
		if err == nil {
			f.Close()
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want+path)) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestTrustedDir(t *testing.T) {
	dir := t.TempDir()
	check(t, TrustedDir(dir))
	check(t, os.Chmod(dir, 0o777))
	if TrustedDir(dir) == nil {
		t.Error("a directory that anybody may write is trusted")
	}
	if os.Getuid() == 0 {
		check(t, os.Chmod(dir, 0o777|os.ModeSticky))
		check(t, TrustedDir(dir))
	}
}

// The former file is there until the new one is whole, and nothing else is left behind.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.yaml")
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	check(t, Replace(path, 0o644, write("one")))
	failed := errors.New("no")
	err := Replace(path, 0o644, func(w io.Writer) error { return errors.Join(write("tw")(w), failed) })
	if b, _ := os.ReadFile(path); !errors.Is(err, failed) || string(b) != "one" {
		t.Errorf("%v, and the file has %q", err, b)
	}
	check(t, Replace(path, 0o600, write("three")))
	if b, _ := os.ReadFile(path); string(b) != "three" {
		t.Errorf("%q", b)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	var e *Error
	if err := Replace(filepath.Join(dir, "gone", "f"), 0o600, write("x")); !errors.As(err, &e) {
		t.Errorf("without a directory: %v", err)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"20.yaml", "10.yaml", ".hidden.yaml", "readme", "9.yaml~"} {
		check(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	names, err := Names(dir, ".yaml")
	check(t, err)
	if len(names) != 2 || filepath.Base(names[0]) != "10.yaml" || filepath.Base(names[1]) != "20.yaml" {
		t.Errorf("%v", names)
	}
	if names, err := Names(filepath.Join(dir, "gone"), ".yaml"); err != nil || names != nil {
		t.Errorf("%v, %v", names, err)
	}
}

// What a killed Replace left is swept when the same file is written again an hour later; nothing else is.
func TestReplaceSweeps(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{".f.123.tmp", ".f.9.123.tmp", ".g.123.tmp", ".f.x.tmp", ".f..tmp", "f.123.tmp", ".f.123.tmp~", ".f.45.tmp"} {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, nil, 0o600))
		if name != ".f.45.tmp" { // somebody may be writing it
			check(t, os.Chtimes(path, old, old))
		}
	}
	check(t, os.Mkdir(filepath.Join(dir, ".f.67.tmp"), 0o700))
	check(t, os.Chtimes(filepath.Join(dir, ".f.67.tmp"), old, old))
	check(t, Replace(filepath.Join(dir, "f"), 0o600, func(io.Writer) error { return nil }))
	entries, err := os.ReadDir(dir)
	check(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{".f..tmp", ".f.123.tmp~", ".f.45.tmp", ".f.67.tmp", ".f.9.123.tmp", ".f.x.tmp", ".g.123.tmp", "f", "f.123.tmp"}
	if !slices.Equal(left, want) {
		t.Errorf("left %q,\nwant %q", left, want)
	}
}
