package config

import (
	"bytes"
	"compress/gzip"
	"os"
	"strings"
	"testing"
)

// Lists become rules in one step, on top of those that run; what they say of exceptions is kept.
func TestImport(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "kept.test", "block")
	s.write("ads.txt", "! list\n||ads.test^\n@@||good.ads.test^\n||x.test/path\n/regexp/\n")
	if r := s.must("import", "ads.txt", "--target", "vpn0", "--dry-run", "-o", "json"); !strings.Contains(r.Stdout, `"kind": "Import"`) {
		t.Errorf("%s", r.Stdout)
	}
	r := s.must("import", "ads.txt", "--target", "vpn0")
	if r.Stdout != "+ ads.test vpn0\n+ good.ads.test direct\n" || !strings.Contains(r.Stderr, "no format is given; by its looks it is adblock") ||
		!strings.Contains(r.Stderr, "applied; added: 2, deleted: 0, changed: 0; rules: 3") || strings.Count(r.Stderr, "skipped, since no rule can say it") != 2 {
		t.Errorf("%s\n%s", r.Stdout, r.Stderr)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write([]byte("in.test\n"))
	check(t, err)
	check(t, w.Close())
	if r := s.with(zipped.String(), "import", "-", "-t", "wan0", "--format=plain", "--match=exact"); r.Code != 0 || r.Stdout != "+ =in.test wan0\n" {
		t.Errorf("%s\n%s", r.Stdout, r.Stderr)
	}
	before := s.rules()
	for words, args := range map[string][]string{
		"give --target":          {"import", "ads.txt"},
		"needs --match suffix (": {"import", "ads.txt", "-t", "vpn0", "--format=plain"},
		"standard input cannot be told; say --format, one of plain,": {"import", "-", "-t", "vpn0"},
		`"vpn0,vpn0"`:                   {"import", "ads.txt", "-t", "vpn0,vpn0"},
		"gone: no such file":            {"import", "ads.txt", "gone", "-t", "vpn0"},
		"wrong number of arguments":     {"import", "-t", "vpn0"},
		"it is running or config":       {"import", "ads.txt", "-t", "vpn0", "--to=nowhere"},
		"is not known here":             {"import", "ads.txt", "-t", "vpn0", "--format=yaml"},
		`--format "yaml": it is one of`: {"export", "--format=yaml"},
	} {
		s.fails(2, words, args...)
	}
	if got := s.rules(); got != before {
		t.Errorf("something changed: %s", got)
	}
}

// --to config copies a list beside the configuration; apply then puts it in force. Files of others are not replaced.
func TestImportToConfig(t *testing.T) {
	s := startedSite(t)
	s.write("in/Ads List.txt", "||ads.test^\n@@||good.ads.test^\n")
	args := []string{"import", "in/Ads List.txt", "-t", "vpn0", "--to=config"}
	s.write("in/com.txt", "||com^\n")
	var got struct {
		Imported []struct{ Findings []struct{ Kind string } }
	}
	decode(t, s.must("import", "in/com.txt", "-t", "vpn0", "--to=config", "--dry-run", "-o", "json"), &got)
	if len(got.Imported) != 1 || len(got.Imported[0].Findings) != 1 || got.Imported[0].Findings[0].Kind != "public_suffix" {
		t.Errorf("%+v", got)
	}
	if r := s.must(append(args, "--dry-run")...); r.Stdout != "" || !strings.Contains(r.Stderr, "dry run") {
		t.Errorf("%s", r.Stderr)
	}
	if _, err := os.Stat(s.path("config.d")); err == nil {
		t.Error("--dry-run writes")
	}
	r := s.must(args...)
	if !strings.Contains(r.Stderr, "written: "+s.path("config.d/50-ads-list.yaml")) || !strings.Contains(r.Stderr, "domain-route apply") {
		t.Errorf("%s", r.Stderr)
	}
	if got := s.rules(); got != "# no rules\n" {
		t.Errorf("it changed the running rules: %s", got)
	}
	s.must("apply")
	if got := s.rules(); got != "ads.test vpn0\ngood.ads.test direct\n" {
		t.Errorf("%s", got)
	}
	s.write("in/Ads List.txt", "||other.test^\n")
	if r := s.must(append(args, "--dry-run")...); !strings.Contains(r.Stderr, "would be removed: "+s.path("lists/ads-list.exceptions")) {
		t.Errorf("%s", r.Stderr)
	}
	s.read("lists/ads-list.exceptions")
	if r := s.must(args...); !strings.Contains(r.Stderr, "replaced: ") || !strings.Contains(r.Stderr, "removed: "+s.path("lists/ads-list.exceptions")) {
		t.Errorf("%s", r.Stderr)
	}
	if _, err := os.Stat(s.path("lists/ads-list.exceptions")); !os.IsNotExist(err) {
		t.Errorf("exceptions of an earlier import: %v", err)
	}
	s.must("apply")
	if got := s.rules(); got != "other.test vpn0\n" {
		t.Errorf("%s", got)
	}
	s.write("in/Ads List.txt", "! a download that failed\n")
	s.fails(2, "in/Ads List.txt: there is nothing in it that a rule can say", append(args, "--format=adblock")...)
	if got := s.read("lists/ads-list.txt"); !strings.HasSuffix(got, "\nother.test\n") {
		t.Errorf("%s", got)
	}
	// Exceptions of one list are no other list's names.
	s.write("in/Ads List.txt", "||ads.test^\n@@||good.ads.test^\n")
	s.must(args...)
	s.write("in/ads-list-exceptions.txt", "||new.test^\n")
	s.must("import", "in/ads-list-exceptions.txt", "-t", "wan0", "--to=config")
	s.must("apply")
	if got := s.rules(); got != "ads.test vpn0\ngood.ads.test direct\nnew.test wan0\n" {
		t.Errorf("%s", got)
	}
	s.write("lists/mine.txt", "mine.test\n")
	s.fails(2, "mine.txt is there already, and not by domain-route", "import", "lists/mine.txt", "-t", "vpn0", "--format=plain", "--match=suffix", "--to=config")
	s.write("in/other.txt", "other.test\n")
	s.write("config.d/50-other.yaml", "rules: []\n")
	s.fails(2, "50-other.yaml is there already, and not by domain-route", "import", "in/other.txt", "-t", "vpn0", "--format=plain", "--match=suffix", "--to=config")
	if got := s.read("lists/mine.txt") + s.read("config.d/50-other.yaml"); got != "mine.test\nrules: []\n" {
		t.Errorf("%q", got)
	}
}

// What is imported can be taken out by rule save, which is read later. What somebody wrote himself is not removed.
func TestImportThenSave(t *testing.T) {
	s := startedSite(t)
	s.write("in/zoo.txt", "||a.test^\n||b.test^\n")
	s.must("import", "in/zoo.txt", "-t", "vpn0", "--to=config")
	s.must("apply")
	s.must("rule", "del", "a.test")
	s.must("rule", "save")
	s.must("apply")
	if got := s.rules(); got != "b.test vpn0\n" {
		t.Errorf("%s", got)
	}
	s.write("lists/zoo.exceptions", "mine.test\n")
	s.must("import", "in/zoo.txt", "-t", "vpn0", "--to=config")
	if got := s.read("lists/zoo.exceptions"); got != "mine.test\n" {
		t.Errorf("%q", got)
	}
}

// Standard input is called so, and what is said of it is of no file that is not there.
func TestImportStdin(t *testing.T) {
	s := startedSite(t)
	r := s.with("||x.test/path\n! none\n", "import", "-", "-t", "vpn0", "--format=adblock", "--dry-run")
	if !strings.Contains(r.Stderr, "standard input: skipped, ") || !strings.Contains(r.Stderr, "standard input: empty: the list gives no rule: all it has was skipped\n") ||
		strings.Contains(r.Stderr, s.dir) {
		t.Errorf("%s", r.Stderr)
	}
	r = s.with(".foo.test\nb.test\n", "import", "-", "-t", "vpn0", "--format=plain", "--match=suffix", "--dry-run")
	if !strings.Contains(r.Stderr, "first: .foo.test; write foo.test, or *.foo.test for its subdomains alone\n") {
		t.Errorf("%s", r.Stderr)
	}
	if r := s.with("a.test\n\x00\n", "import", "-", "-t", "vpn0", "--format=adblock"); r.Code != 2 || !strings.Contains(r.Stderr, "domain-route: standard input:2:1: a zero byte") {
		t.Errorf("exit %d, %s", r.Code, r.Stderr)
	}
	if r := s.with("||a.test^\n", "import", "-", "-t", "vpn0", "--match=exact"); r.Code != 2 || !strings.Contains(r.Stderr, "standard input looks like an adblock list: ") {
		t.Errorf("exit %d, %s", r.Code, r.Stderr)
	}
}

// Exported is what a format can say, of one target; the rest is counted. A list comes back as it was.
func TestExport(t *testing.T) {
	s := startedSite(t)
	s.with(`a.test vpn0
*.b.test vpn0
=c.test vpn0
d.test vpn0 user=0
e.test wan0
192.0.2.0/24 vpn0
`, "apply", "-f", "-")
	r := s.must("export", "--format=dnsmasq", "--target=vpn0", "--value=ipset=vpn")
	if !strings.Contains(r.Stdout, "ipset=/a.test/vpn\n") || strings.Contains(r.Stdout, "e.test") || strings.Contains(r.Stdout, "d.test") ||
		strings.Contains(r.Stdout, "c.test") || !strings.Contains(r.Stderr, "1 of exact, first: =c.test") || !strings.Contains(r.Stderr, "1 of rule with a condition") {
		t.Errorf("%s\n%s", r.Stdout, r.Stderr)
	}
	s.fails(2, "give --format, one of plain, hosts, ", "export")
	s.fails(1, "no rule has the target block; those there are: vpn0, wan0\n", "export", "--format=plain", "--target=block")
	if r := s.must("export", "--format=plain"); !strings.Contains(r.Stderr, "2 different targets; to choose one: --target") {
		t.Errorf("%s", r.Stderr)
	}
	for _, format := range []string{"plain", "v2fly", "sing-box", "clash-classical", "geosite"} {
		s.with("a.test vpn0\n=c.test vpn0\n", "apply", "-f", "-")
		list := s.must("export", "--format="+format, "--target=vpn0").Stdout
		s.with("# no rules", "apply", "-f", "-")
		args := map[string][]string{"plain": {"--match=suffix"}, "geosite": {"--category=domain-route"}}[format]
		r := s.with(list, append([]string{"import", "-", "-t", "vpn0", "--format=" + format}, args...)...)
		if got := s.rules(); got != "a.test vpn0\n=c.test vpn0\n" {
			t.Errorf("%s: %q comes back as\n%s%s", format, list, got, r.Stderr)
		}
	}
	var got struct {
		Items int
		List  string
	}
	decode(t, s.must("export", "--format=plain", "-o", "json"), &got)
	if got.Items != 2 || got.List != "a.test\n=c.test\n" {
		t.Errorf("%+v", got)
	}
}

// The schema is JSON, with and without -o json.
func TestSchema(t *testing.T) {
	s := newSite(t)
	var schema map[string]any
	decode(t, s.must("schema", "-o", "json"), &schema)
	if schema["$schema"] == nil || !strings.HasPrefix(s.must("schema").Stdout, "{\n") {
		t.Errorf("%v", schema)
	}
}
