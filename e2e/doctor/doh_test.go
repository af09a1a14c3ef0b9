package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// write writes a file of the private /etc, or of a home.
func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	t.Cleanup(func() { os.Remove(path) })
}

// person adds a user with a home in the lab.
func person(t testing.TB, h *harness.Host) (home string) {
	t.Helper()
	before, err := os.ReadFile("/etc/passwd")
	must(t, err)
	home = filepath.Join(h.Dir, "home")
	must(t, os.WriteFile("/etc/passwd", []byte(string(before)+"\ndoctor:x:1999:1999::"+home+":/bin/sh\n"), 0o644))
	t.Cleanup(func() { must(t, os.WriteFile("/etc/passwd", before, 0o644)) })
	return home
}

func firefoxProfile(t *testing.T, h *harness.Host) {
	prefs := filepath.Join(person(t, h), ".mozilla/firefox/abc.default/prefs.js")
	write(t, prefs, "user_pref(\"network.trr.mode\", 3);\n")
	c := wantWrong(t, h, "browser-doh", "fail", "Firefox: DNS over HTTPS is switched on", "/etc/firefox/policies/policies.json")
	if !strings.Contains(c.Found, prefs) {
		t.Errorf("%q", c.Found)
	}
	t.Cleanup(func() { os.RemoveAll("/etc/firefox") })
	mend(t, h, c.Cure)
	wantSound(t, h)
}

func firefoxPolicy(t *testing.T, h *harness.Host) {
	const file = "/etc/firefox/policies/policies.json"
	write(t, file, `{"policies":{"DNSOverHTTPS":{"Enabled":true,"ProviderURL":"https://dns.example/"}}}`)
	wantWrong(t, h, "browser-doh", "fail", "Firefox: a policy switches DNS over HTTPS on", `set "DNSOverHTTPS": {"Enabled": false, "Locked": true} in `+file)
	write(t, file, `{"policies":{"DNSOverHTTPS": {"Enabled": false, "Locked": true}}}`)
	wantSound(t, h)
}

func chromePolicy(t *testing.T, h *harness.Host) {
	const file = "/etc/opt/chrome/policies/managed/secure.json"
	write(t, file, `{"DnsOverHttpsMode":"secure","DnsOverHttpsTemplates":"https://dns.example/"}`)
	wantWrong(t, h, "browser-doh", "fail", "Chrome: a policy switches DNS over HTTPS on", `set "DnsOverHttpsMode": "off" in `+file)
	write(t, file, `{"DnsOverHttpsMode": "off"}`)
	wantSound(t, h)
}

func chromiumUser(t *testing.T, h *harness.Host) {
	must(t, os.Remove("/etc/chromium/policies/managed/off.json"))
	state := filepath.Join(person(t, h), ".config/chromium/Local State")
	write(t, state, `{"dns_over_https":{"mode":"secure"}}`)
	c := wantWrong(t, h, "browser-doh", "fail", "Chromium: DNS over HTTPS is switched on", "/etc/chromium/policies/managed/domain-route.json")
	mend(t, h, c.Cure)
	wantSound(t, h)
}
