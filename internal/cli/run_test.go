package cli

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

// run runs a command that needs no system, with a standard input.
func run(env Env, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	if env.Stdout == nil {
		env.Stdout = &out
	}
	env.Stdin, env.Stderr = strings.NewReader(stdin), &errs
	code = Run(env, args)
	return code, out.String(), errs.String()
}

// Wrong usage is told as such, and not by the help.
func TestUsage(t *testing.T) {
	for words, args := range map[string]string{
		`no completion for "nosh"; there are `:                "completion nosh",
		"completion needs a shell: ":                          "completion",
		"a geosite.dat is no text":                            "export --format geosite -o json",
		"give --format, one of plain, hosts, ":                "export",
		"--categories takes one file":                         "import --categories a b",
		"and no --target":                                     "import --categories a -t vpn0",
		"standard input can be read once only":                "import - a - -t vpn0",
		"give --target":                                       "import a",
		"--match is for the format plain, not for hosts":      "export --format hosts --match exact",
		"--category is for the format geosite, not for plain": "export --format plain --category X",
		"--value is for the format dnsmasq, not for hosts":    "export --format hosts --value server=192.0.2.1",
	} {
		code, out, errs := run(Env{}, "", strings.Fields(args)...)
		if code != ExitUsage || out != "" || !strings.Contains(errs, words) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", args, code, out, errs)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, errs := run(Env{}, "", "completion", shell); code != ExitDone || out == "" || errs != "" {
			t.Errorf("completion %s: exit %d, %q", shell, code, errs)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

// Output that is lost does not hide what else failed, nor make it look as if more did.
func TestLostOutput(t *testing.T) {
	if code, _, errs := run(Env{Stdout: full{}}, "", "version"); code != ExitRefused ||
		errs != "domain-route: the output is lost, and nothing else: write to standard output: no room\n" {
		t.Errorf("exit %d, %q", code, errs)
	}
	lost := errors.New("no room")
	if err := lostOutput(errNo, lost); errors.Is(err, errNo) || exitCode(err) != ExitRefused {
		t.Errorf("a truthful no that nobody heard: %v", err)
	}
	if err := lostOutput(dataplane.ErrNotStarted, lost); !strings.HasPrefix(err.Error(), dataplane.ErrNotStarted.Error()) ||
		!strings.HasSuffix(err.Error(), "no room") {
		t.Errorf("%v", err)
	}
}

// Whoever types rules is told so, and nothing is drawn over what he types.
func TestTyped(t *testing.T) {
	for _, args := range []string{"apply -f -", "import - -t vpn0 --format plain"} {
		_, _, errs := run(Env{InTerminal: true, ErrTerminal: true}, "", strings.Fields(args)...)
		if !strings.Contains(errs, "from the terminal; end them with Ctrl-D") {
			t.Errorf("%s: %q", args, errs)
		}
		if _, _, errs := run(Env{}, "", strings.Fields(args)...); strings.Contains(errs, "Ctrl-D") {
			t.Errorf("%s, not typed: %q", args, errs)
		}
	}
	a := &app{Env: Env{InTerminal: true, ErrTerminal: true, Stderr: io.Discard}}
	if a.progressOf("reading rules", standardInput) != nil {
		t.Error("a bar is drawn over what is typed")
	}
}

// geosite makes a geosite.dat of empty categories.
func geosite(names ...string) string {
	var b []byte
	for _, n := range names {
		site := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), n)
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), site)
	}
	return string(b)
}

// The categories of a geosite.dat can be listed, packed or not, from a file or standard input.
func TestCategories(t *testing.T) {
	dat := geosite("CN", "GOOGLE@ADS", "odd\x1b")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(dat))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "geosite.dat")
	if err := os.WriteFile(file, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "CN\nGOOGLE@ADS\nodd\\x1b\n"
	for _, from := range []string{file, "-"} {
		if code, out, errs := run(Env{}, dat, "import", "--categories", from); code != ExitDone || out != want || errs != "" {
			t.Errorf("%s: exit %d, %q, %q", from, code, out, errs)
		}
	}
	code, out, _ := run(Env{}, geosite("CN"), "import", "--categories", "-", "-o", "json")
	if code != ExitDone || !strings.Contains(out, `"kind": "CategoryList"`) || !strings.Contains(out, "\"categories\": [\n      \"CN\"\n    ]") {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, errs := run(Env{}, "no geosite\n", "import", "--categories", "-"); code != ExitUsage || out != "" || !strings.HasPrefix(errs, "domain-route: -: ") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if code, _, errs := run(Env{}, "", "import", "--categories", gone); code != ExitUsage || errs != "domain-route: "+gone+": no such file\n" {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// rdns lists those that its argument names, with the rule's condition.
func TestLearntRows(t *testing.T) {
	name := func(s string) pattern.Name {
		p, err := pattern.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return p.Name
	}
	all := []dataplane.Standing{
		{Learnt: dataplane.Learnt{Name: name("a.test")}, Pattern: "a.test", Condition: "user=5"},
		{Learnt: dataplane.Learnt{Name: name("x.a.test")}}, {Learnt: dataplane.Learnt{Name: name("b.test")}}, {},
	}
	for text, want := range map[string][]string{"a.test": {"a.test", "x.a.test"}, "=a.test": {"a.test"}, "*.a.test": {"x.a.test"}, "c.test": nil} {
		wanted, err := matching(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range learntRows(all, wanted) {
			got = append(got, row.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	var out bytes.Buffer
	a := &app{Env: Env{Stdout: &out}}
	a.printLearnt(learntRows(all[:2], func(dataplane.Learnt) bool { return true }))
	if !strings.Contains(out.String(), "\ta.test user=5\t") || strings.Contains(out.String(), "- \t") {
		t.Errorf("%q", out.String())
	}
}
