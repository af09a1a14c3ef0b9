package doctor

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Browser is one that may resolve names by itself, over HTTPS, where nobody sees them.
type Browser struct {
	Name      string
	Policy    string   // what is enforced: on, off; empty: nothing
	By        string   // the policy's file
	Chosen    []string // files of users or packages where it is switched on
	PolicyDir string   // where a policy goes
	Firefox   bool
}

// doh words of Browser.Policy.
const (
	dohOn  = "on"
	dohOff = "off"
)

// browserKinds are where browsers keep their things. Programs tell that one is installed.
var browserKinds = []struct {
	name     string
	firefox  bool
	programs []string
	policies []string // files for Firefox, directories for the others; the first is where ours goes
	profiles []string // below a home
}{
	{"Firefox", true,
		[]string{"/usr/bin/firefox", "/usr/bin/firefox-esr", "/usr/lib/firefox/firefox", "/usr/lib/firefox-esr/firefox-esr", "/usr/lib64/firefox/firefox", "/opt/firefox/firefox", "/snap/bin/firefox"},
		[]string{"/etc/firefox/policies/policies.json", "/usr/lib/firefox/distribution/policies.json", "/usr/lib/firefox-esr/distribution/policies.json",
			"/usr/lib64/firefox/distribution/policies.json", "/usr/share/firefox-esr/distribution/policies.json", "/opt/firefox/distribution/policies.json"},
		[]string{".mozilla/firefox", ".config/mozilla/firefox", "snap/firefox/common/.mozilla/firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox"}},
	{"Chromium", false,
		[]string{"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/lib/chromium/chromium", "/snap/bin/chromium"},
		[]string{"/etc/chromium/policies/managed", "/etc/chromium-browser/policies/managed"},
		[]string{".config/chromium", "snap/chromium/common/chromium", ".var/app/org.chromium.Chromium/config/chromium"}},
	{"Chrome", false, []string{"/usr/bin/google-chrome", "/usr/bin/google-chrome-stable", "/opt/google/chrome/chrome"},
		[]string{"/etc/opt/chrome/policies/managed"}, []string{".config/google-chrome"}},
	{"Edge", false, []string{"/usr/bin/microsoft-edge", "/usr/bin/microsoft-edge-stable", "/opt/microsoft/msedge/msedge"},
		[]string{"/etc/opt/edge/policies/managed"}, []string{".config/microsoft-edge"}},
	{"Brave", false, []string{"/usr/bin/brave-browser", "/usr/bin/brave", "/opt/brave.com/brave/brave"},
		[]string{"/etc/brave/policies/managed"}, []string{".config/BraveSoftware/Brave-Browser"}},
}

// browsers finds those that are installed or have a policy or a profile that switches DNS over HTTPS on.
func (r root) browsers() []Browser {
	homes := r.homes()
	var all []Browser
	for _, k := range browserKinds {
		b := Browser{Name: k.name, Firefox: k.firefox, PolicyDir: k.policies[0]}
		if k.firefox {
			b.PolicyDir = filepath.Dir(k.policies[0])
			r.firefoxPolicies(&b, k.policies)
		} else {
			r.chromiumPolicies(&b, k.policies)
		}
		for _, home := range homes {
			for _, dir := range k.profiles {
				if k.firefox {
					b.Chosen = append(b.Chosen, r.firefoxProfiles(filepath.Join(home, dir))...)
				} else if path := filepath.Join(home, dir, "Local State"); r.chromiumChose(path) {
					b.Chosen = append(b.Chosen, path)
				}
			}
		}
		if slices.ContainsFunc(k.programs, r.exists) || b.Policy != "" || len(b.Chosen) > 0 {
			all = append(all, b)
		}
	}
	return all
}

// homes are those of root and of persons.
func (r root) homes() []string {
	var all []string
	for line := range strings.Lines(string(r.read("/etc/passwd"))) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 7 || len(all) == maxEntries {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		if err == nil && (uid == 0 || uid >= 1000 && uid < 60000) && strings.HasPrefix(f[5], "/") && !slices.Contains(all, f[5]) {
			all = append(all, f[5])
		}
	}
	return all
}

// firefoxPolicies reads the first policies there are, and the preferences that packages and administrators set.
func (r root) firefoxPolicies(b *Browser, files []string) {
	for _, path := range files {
		var doc struct {
			Policies struct {
				DNSOverHTTPS *struct{ Enabled *bool }
			} `json:"policies"`
		}
		if json.Unmarshal(r.read(path), &doc) != nil || doc.Policies.DNSOverHTTPS == nil || doc.Policies.DNSOverHTTPS.Enabled == nil {
			continue
		}
		b.Policy, b.By = dohOff, path
		if *doc.Policies.DNSOverHTTPS.Enabled {
			b.Policy = dohOn
		}
		break
	}
	for _, dir := range []string{"/usr/lib/firefox", "/usr/lib/firefox-esr", "/usr/lib64/firefox", "/opt/firefox"} {
		for _, path := range append(r.glob(dir+"/defaults/pref/*.js"), r.glob(dir+"/*.cfg")...) {
			if trrOn(r.read(path)) {
				b.Chosen = append(b.Chosen, path)
			}
		}
	}
	for _, path := range append(r.glob("/etc/firefox/pref/*.js"), r.glob("/etc/firefox-esr/*.js")...) {
		if trrOn(r.read(path)) {
			b.Chosen = append(b.Chosen, path)
		}
	}
}

// firefoxProfiles are the preferences of a user's profiles that switch it on.
func (r root) firefoxProfiles(dir string) []string {
	var all []string
	for _, profile := range r.list(dir) {
		for _, name := range []string{"user.js", "prefs.js"} {
			if path := filepath.Join(dir, profile, name); trrOn(r.read(path)) {
				all = append(all, path)
				break
			}
		}
	}
	return all
}

// trrOn tells whether preferences say network.trr.mode 2 (first) or 3 (only); of several the last counts.
func trrOn(text []byte) bool {
	on := false
	for line := range strings.Lines(string(text)) {
		_, rest, ok := strings.Cut(line, `"network.trr.mode"`)
		if !ok || strings.HasPrefix(strings.TrimSpace(line), "//") {
			continue
		}
		value := strings.TrimLeft(rest, " \t,")
		on = strings.HasPrefix(value, "2") || strings.HasPrefix(value, "3")
	}
	return on
}

// chromiumPolicies reads what is enforced; of several files the last by name counts.
func (r root) chromiumPolicies(b *Browser, dirs []string) {
	for _, dir := range dirs {
		names := r.list(dir)
		slices.Sort(names)
		for _, name := range names {
			var doc struct{ DnsOverHttpsMode *string } //nolint:revive // the policy's name
			path := filepath.Join(dir, name)
			if !strings.HasSuffix(name, ".json") || json.Unmarshal(r.read(path), &doc) != nil || doc.DnsOverHttpsMode == nil {
				continue
			}
			b.By, b.Policy = path, dohOff
			if *doc.DnsOverHttpsMode != "off" {
				b.Policy = dohOn
			}
		}
	}
}

// chromiumChose tells whether a user switched it on.
func (r root) chromiumChose(path string) bool {
	var doc struct {
		DNS struct {
			Mode string `json:"mode"`
		} `json:"dns_over_https"`
	}
	return json.Unmarshal(r.read(path), &doc) == nil && doc.DNS.Mode == "secure"
}
