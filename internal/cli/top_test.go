package cli

import (
	"io"
	"os"
	"testing"
)

// Nothing reaches the terminal before its alternate screen does, and then all that was held back, but what is the main
// screen's.
func TestScreenFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &screenFile{file: w}
	for _, text := range []string{"\r\x1b[J\x1b[>1u\x1b[?25l", "\x1b[?20", "04h\x1b[<1u\x1b[?10", "49h\x1b[>1uframe", " next"} {
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	w.Close()
	got, err := io.ReadAll(r)
	if want := "\x1b[?1049h\r\x1b[J\x1b[?25l\x1b[?2004h\x1b[>1uframe next"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestIsUTF8(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "de_DE.UTF-8"}, true},
		{map[string]string{"LANG": "C.utf8", "LC_ALL": "C"}, false},
		{map[string]string{"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, true},
		{map[string]string{"LANG": "C.UTF-8", "TERM": "linux"}, false},
		{map[string]string{"LANG": "C.UTF-8", "TERM": "vt100"}, false},
	} {
		if got := isUTF8(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}
