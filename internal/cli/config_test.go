package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// The first line that says something tells rules from the configuration's form.
func TestIsConfig(t *testing.T) {
	for text, want := range map[string]bool{
		"rules:\n": true, "# x\n\nobserve: [libc]\n": true, "---\n": true, "--- {}\n": true, "{rules: []}": true, "%YAML 1.2\n": true, "\ufeffrules: []": true,
		`"rules": []`:       true,
		"example.com wg0\n": false, "# rules:\nexample.com wg0": false, "2001:db8:: wg0": false, "2001:db8::/32 wg0": false, "=a.test block": false,
		"*.a.test wg0": false, ". wg0": false,
	} {
		line, some := firstWords([]byte(text))
		if !some || isConfig(line) != want {
			t.Errorf("%q: %q, want %v", text, line, want)
		}
	}
	for _, text := range []string{"", "\n", "# a\n  # b\n", " \t\r\n"} {
		if line, some := firstWords([]byte(text)); some {
			t.Errorf("%q: %q", text, line)
		}
	}
}

// Saved rules are put where they will be read.
func TestConfigOrder(t *testing.T) {
	c := configuration{path: "/etc/x/zz.yaml"}
	files := []string{"/etc/x/config.d/99-saved.yaml", "/etc/x/config.d/zz.yaml", "/etc/x/zz.yaml", "/etc/x/config.d/10.yaml"}
	slices.SortFunc(files, c.compare)
	want := []string{"/etc/x/zz.yaml", "/etc/x/config.d/10.yaml", "/etc/x/config.d/99-saved.yaml", "/etc/x/config.d/zz.yaml"}
	if !slices.Equal(files, want) {
		t.Errorf("%q", files)
	}
}

func TestListName(t *testing.T) {
	for in, want := range map[string]string{
		"/x/accelerated-domains.china.conf": "accelerated-domains.china", "Ads List.txt.gz": "ads-list", "-": "imported", "../..": "imported",
		".hidden": "hidden", "bücher.txt": "b-cher", "99-saved.yaml": "99-saved", "geosite.dat": "geosite",
	} {
		if got := listName(in, ""); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := listName("geosite.dat", "CN"); got != "geosite-cn" {
		t.Errorf("%q", got)
	}
}

// What is wrong with an input is wrong usage; what may not be read or written is refused.
func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{&ruleio.Error{}, ExitUsage}, {&hostfile.Error{Path: "x", Reason: "is a pipe"}, ExitUsage}, {&ruleset.ConditionError{}, ExitUsage},
		{fmt.Errorf("list: %w", &ruleset.LineError{Line: 1, Err: errors.New("x")}), ExitUsage},
		{&hostfile.Error{Err: fs.ErrPermission}, ExitRefused}, {writeFailure(&hostfile.Error{Path: "x"}), ExitRefused},
		{fmt.Errorf("%w; first: domain-route start", dataplane.ErrNotStarted), ExitNo},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// What a rule set was made of is known by names and contents, whatever the order.
func TestInputsDigest(t *testing.T) {
	make := func(edit func(*inputs)) [32]byte {
		in := newInputs()
		in.files["a"], in.files["b"], in.users["root"] = [32]byte{1}, [32]byte{2}, 0
		edit(in)
		return in.digest()
	}
	same := make(func(*inputs) {})
	for what, edit := range map[string]func(*inputs){
		"contents": func(in *inputs) { in.files["a"] = [32]byte{3} }, "swapped": func(in *inputs) { in.files["a"], in.files["b"] = in.files["b"], in.files["a"] },
		"a file more": func(in *inputs) { in.files["c"] = [32]byte{} }, "a file less": func(in *inputs) { delete(in.files, "b") },
		"another number": func(in *inputs) { in.users["root"] = 1 }, "a user more": func(in *inputs) { in.users["x"] = 0 },
	} {
		if make(edit) == same {
			t.Errorf("%s does not show", what)
		}
	}
	if make(func(*inputs) {}) != same {
		t.Error("the same is not the same")
	}
}

// What decides without anybody's asking does not lie where others could put something else.
func TestTrustedPlace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "list")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o755: "", 0o777: dir + ": may be written by others (mode 0777)"} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		f, err := newTrustedInputs().open(file)
		if err == nil {
			f.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%o: %v", mode, err)
		}
		if f, err := newInputs().open(file); err != nil { // somebody asked for this one
			t.Errorf("%o: %v", mode, err)
		} else {
			f.Close()
		}
	}
}

// The cache is where systemd says, or in /var/cache: tests never write to that.
func TestCacheOf(t *testing.T) {
	for dir, want := range map[string]string{"": "/var/cache/domain-route/rules-", "/a/b": "/a/b/rules-", "/a/b:/c": "/a/b/rules-"} {
		t.Setenv("CACHE_DIRECTORY", dir)
		if got := string(cacheOf("/etc/domain-route/config.yaml")); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", dir, got)
		}
	}
}
