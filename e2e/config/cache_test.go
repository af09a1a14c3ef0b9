package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cached applies and tells whether the cache was of use.
func (s *site) cached() (yes bool, said string) {
	s.t.Helper()
	var got struct{ Cached bool }
	r := s.must("apply", "-o", "json")
	decode(s.t, r, &got)
	return got.Cached, r.Stderr
}

func cacheFile(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("CACHE_DIRECTORY"), "*"))
	check(t, err)
	if len(files) != 1 {
		t.Fatalf("caches: %q", files)
	}
	return files[0]
}

// The cache is of use while everything is as it was, and what is changed, damaged or somebody else's is noticed.
func TestCache(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", office)
	s.write("lists/names.txt", "one.test\n")
	s.write("config.d/10.yaml", "lists: [{file: main, format: v2fly, target: vpn0}]\nrules: [{match: a.test, target: vpn0, user: root}]\n")
	s.write("config.d/main", "full:v.test\ninclude:more\n")
	s.write("config.d/more", "w.test\n")
	fresh := func(why, words string) {
		t.Helper()
		yes, said := s.cached()
		if yes || words == "" && strings.Contains(said, "cache") || !strings.Contains(said, words) {
			t.Errorf("%s: cached %v, said %q, want %q", why, yes, said, words)
		}
		rules := s.rules()
		if yes, said := s.cached(); !yes || said != "" {
			t.Errorf("%s, then: cached %v, said %q", why, yes, said)
		}
		if got := s.rules(); got != rules {
			t.Errorf("%s: the cache has\n%snot\n%s", why, got, rules)
		}
	}
	fresh("at first", "")
	if st, err := os.Stat(cacheFile(t)); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	s.write("lists/names.txt", "two.test\n")
	fresh("another list", "")
	if !strings.Contains(s.rules(), "two.test direct\n") {
		t.Errorf("%s", s.rules())
	}
	s.write("config.d/more", "x.test\n")
	fresh("another include", "")
	s.write("config.d/20.yaml", "")
	fresh("a file more", "")
	check(t, os.Remove(s.path("config.d/20.yaml")))
	fresh("a file less", "")

	const useless = "the cache is of no use"
	b, err := os.ReadFile(cacheFile(t))
	check(t, err)
	told := 0
	for i := range 40 {
		bad := append([]byte(nil), b...)
		bad[len(bad)*i/40] ^= 0x41
		check(t, os.WriteFile(cacheFile(t), bad, 0o600))
		yes, said := s.cached()
		if yes || said != "" && !strings.Contains(said, useless) {
			t.Errorf("byte %d damaged: cached %v, said %q", len(bad)*i/40, yes, said)
		}
		if said != "" {
			told++
		}
	}
	if told < 20 { // the others are in what it was made of, so that it is taken for that of other files
		t.Errorf("of 40 damages %d are told", told)
	}
	for _, length := range []int{0, 1, len(b) / 2, len(b) - 1} {
		check(t, os.Truncate(cacheFile(t), int64(length)))
		fresh("cut short", useless)
	}
	check(t, os.Chmod(cacheFile(t), 0o666))
	fresh("anybody's", useless)
	check(t, os.Chown(cacheFile(t), 1000, 0))
	fresh("of a user's", useless)
	check(t, os.Chmod(filepath.Dir(cacheFile(t)), 0o777))
	if yes, said := s.cached(); yes || !strings.Contains(said, useless) {
		t.Errorf("in anybody's directory: cached %v, said %q", yes, said)
	}
	check(t, os.Remove(cacheFile(t)))
	t.Setenv("CACHE_DIRECTORY", "/proc/nowhere")
	if yes, said := s.cached(); yes || said != "" {
		t.Errorf("that it cannot be written is no error: cached %v, said %q", yes, said)
	}
}

// Who looks at the status has the files read once, not each time.
func TestStatusKeeps(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "rules: [{match: a.test, target: vpn0}]\n")
	for _, want := range []bool{false, true} {
		if st := s.state(); st.Configuration.Cached != want || !st.Configuration.Differs {
			t.Errorf("cached: %v, want %v", st.Configuration.Cached, want)
		}
	}
}

// A start after a boot reads the cache.
func TestStartByCache(t *testing.T) {
	s := newSite(t)
	s.write("config.yaml", "flush: no\nrules: [{match: a.test, target: vpn0}]\n")
	for _, want := range []bool{false, true} {
		var got struct{ Configuration struct{ Cached bool } }
		decode(t, s.must("start", "--cgroup", s.Cgroup, "-o", "json"), &got)
		if got.Configuration.Cached != want || s.rules() != "a.test vpn0\n" {
			t.Errorf("cached: %v, want %v", got, want)
		}
		s.must("stop")
	}
}
