package doctor

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// seedRoot makes a root with files.
func seedRoot(t testing.TB, files map[string]string) root {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root(dir)
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	z.Close()
	return b.String()
}

func TestRead(t *testing.T) {
	const top, attached = "/sys/fs/cgroup", "/sys/fs/cgroup/a"
	r := seedRoot(t, map[string]string{
		"/proc/sys/kernel/osrelease":                                    "6.18.1\n",
		"/proc/config.gz":                                               zipped("CONFIG_INET_TCP_DIAG=y\n# CONFIG_INET_DIAG_DESTROY is not set\n"),
		"/proc/modules":                                                 "tcp_diag 16384 0 - Live 0x0\n",
		"/lib/modules/6.18.1/modules.dep":                               "kernel/net/ipv4/udp_diag.ko.xz:\n",
		"/proc/sys/kernel/yama/ptrace_scope":                            "1\n",
		"/proc/self/mountinfo":                                          "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
		"/sys/kernel/security/lockdown":                                 "none [integrity] confidentiality\n",
		"/sys/devices/system/cpu/possible":                              "0-3,8\n",
		"/sys/fs/cgroup/a/cgroup.events":                                "populated 1\nfrozen 0\n",
		"/etc/systemd/system/x":                                         "",
		"/usr/lib/systemd/system/domain-route.service":                  "",
		"/etc/systemd/system/sysinit.target.wants/domain-route.service": "",
	})
	got := Read(string(r), attached, top)
	want := Host{Release: "6.18.1", Options: map[string]string{"CONFIG_INET_DIAG_DESTROY": "n", "CONFIG_INET_TCP_DIAG": "y", "CONFIG_INET_UDP_DIAG": "n"},
		Modules: map[string]bool{"tcp_diag": true, "udp_diag": true}, Lockdown: "integrity", Ptrace: 1, Hybrid: true, CPUs: 5, Attached: true, Populated: true,
		Unit: Unit{true, true}, Resolver: Resolver{NSS: []string{"dns", "files"}, DoT: "no"}}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if h := Read(t.TempDir(), top, top); !h.Populated || h.Modules != nil || h.Options != nil {
		t.Errorf("of nothing: %+v", h)
	}
}

func TestResolver(t *testing.T) {
	r := seedRoot(t, map[string]string{
		"/etc/resolv.conf":                           "# made by hand\nsearch x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver\nnameserver bad\n",
		"/run/systemd/resolve/resolv.conf":           "nameserver 9.9.9.9\n",
		"/etc/nsswitch.conf":                         "passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files myhostname dns # all\n",
		"/etc/systemd/resolved.conf":                 "[Resolve]\nDNSOverTLS=no\n",
		"/usr/lib/systemd/resolved.conf":             "[Resolve]\nDNSOverTLS=opportunistic\n",
		"/usr/lib/systemd/resolved.conf.d/50-a.conf": "[Resolve]\nDNSOverTLS=yes\n",
		"/etc/systemd/resolved.conf.d/50-a.conf":     "[Resolve]\n#DNSOverTLS=no\n DNSOverTLS = true \n[Other]\nDNSOverTLS=no\n",
	})
	got := r.resolver([]Process{{1, "systemd-resolved", ""}, {2, "nscd", ""}, {3, "nscd", ""}, {4, "bash", ""}})
	want := Resolver{Servers: []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("fe80::1")}, Upstream: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		NSS: []string{"mymachines", "resolve", "files", "myhostname", "dns"}, DoT: "yes", DoTFile: "/etc/systemd/resolved.conf.d/50-a.conf",
		Daemons: []string{"systemd-resolved", "nscd"}}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	if a, known := got.upgradable(); !known || a.String() != "9.9.9.9" {
		t.Errorf("upgradable: %v, %v", a, known)
	}
}

const passwd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/x\nann:x:1000:1000::/home/ann:/bin/sh\nbad\nx:x:y:0::/home/x:/x\nnobody:x:65534:65534::/home/nobody:/x\n"

func TestBrowsers(t *testing.T) {
	const profile = "/home/ann/.mozilla/firefox/x.default/"
	for _, c := range []struct {
		what  string
		files map[string]string
		want  []string // NAME POLICY FILES-WHERE-CHOSEN
	}{
		{"none", map[string]string{}, nil},
		{"installed", map[string]string{"/usr/bin/chromium": "", "/usr/bin/firefox-esr": ""}, []string{"Firefox  ", "Chromium  "}},
		{"Firefox, policy", map[string]string{"/usr/lib/firefox/distribution/policies.json": `{"policies":{"DNSOverHTTPS":{"Enabled":false}}}`}, []string{"Firefox off "}},
		{"Firefox, the system's policy first", map[string]string{"/etc/firefox/policies/policies.json": `{"policies":{"DNSOverHTTPS":{"Enabled":true}}}`,
			"/usr/lib/firefox/distribution/policies.json": `{"policies":{"DNSOverHTTPS":{"Enabled":false}}}`}, []string{"Firefox on "}},
		{"Firefox, another policy", map[string]string{"/usr/bin/firefox": "", "/etc/firefox/policies/policies.json": `{"policies":{"DisableTelemetry":true}}`}, []string{"Firefox  "}},
		{"Firefox, no JSON", map[string]string{"/usr/bin/firefox": "", "/etc/firefox/policies/policies.json": "{"}, []string{"Firefox  "}},
		{"a profile", map[string]string{profile + "prefs.js": "// x\nuser_pref(\"network.trr.mode\", 2);\n"}, []string{"Firefox  " + profile + "prefs.js"}},
		{"a profile, switched off later", map[string]string{profile + "prefs.js": "user_pref(\"network.trr.mode\", 2);\nuser_pref(\"network.trr.mode\", 5);\n"}, nil},
		{"a profile, both files", map[string]string{profile + "prefs.js": `user_pref("network.trr.mode", 3);`, profile + "user.js": `user_pref("network.trr.mode",3);`},
			[]string{"Firefox  " + profile + "user.js"}},
		{"a profile of a service", map[string]string{"/usr/sbin/.mozilla/firefox/x/prefs.js": `user_pref("network.trr.mode", 3);`}, nil},
		{"root's", map[string]string{"/root/snap/firefox/common/.mozilla/firefox/x/prefs.js": `user_pref("network.trr.mode", 3);`},
			[]string{"Firefox  /root/snap/firefox/common/.mozilla/firefox/x/prefs.js"}},
		{"a package's", map[string]string{"/etc/firefox/pref/a.js": `lockPref("network.trr.mode", 2);`}, []string{"Firefox  /etc/firefox/pref/a.js"}},
		{"Chromium, policies", map[string]string{"/etc/chromium/policies/managed/a.json": `{"DnsOverHttpsMode":"off"}`, "/etc/chromium/policies/managed/b.json": `{"DnsOverHttpsMode":"automatic"}`,
			"/etc/chromium/policies/managed/c.json": `{}`, "/etc/chromium/policies/managed/d.txt": `{"DnsOverHttpsMode":"off"}`}, []string{"Chromium on "}},
		{"Chrome, policy", map[string]string{"/etc/opt/chrome/policies/managed/a.json": `{"DnsOverHttpsMode":"off"}`}, []string{"Chrome off "}},
		{"Edge, a user", map[string]string{"/home/ann/.config/microsoft-edge/Local State": `{"dns_over_https":{"mode":"secure"}}`}, []string{"Edge  /home/ann/.config/microsoft-edge/Local State"}},
		{"Edge, automatic", map[string]string{"/home/ann/.config/microsoft-edge/Local State": `{"dns_over_https":{"mode":"automatic"}}`}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.files["/etc/passwd"] = passwd
			var got []string
			for _, b := range seedRoot(t, c.files).browsers() {
				got = append(got, b.Name+" "+b.Policy+" "+strings.Join(b.Chosen, " "))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// What users own may be anything: it is neither waited for nor read without end.
func TestHostileFiles(t *testing.T) {
	r := seedRoot(t, map[string]string{"/etc/passwd": passwd, "/home/ann/.mozilla/firefox/large/prefs.js": ""})
	dir := r.path("/home/ann/.mozilla/firefox")
	if err := os.Truncate(filepath.Join(dir, "large/prefs.js"), 1<<40); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "loop", "device", "directory"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name, "prefs.js")
		var err error
		switch name {
		case "pipe":
			err = unix.Mkfifo(path, 0o644)
		case "loop":
			err = os.Symlink(path, path)
		case "device":
			err = os.Symlink("/dev/zero", path)
		case "directory":
			err = os.Mkdir(path, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	deep := strings.Repeat("[", 1<<20)
	if err := os.MkdirAll(r.path("/home/ann/.config/chromium"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("/home/ann/.config/chromium/Local State"), []byte(deep), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.path("/root/.config/mozilla"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(r.path("/root/.config/mozilla/firefox"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := r.browsers(); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestCgroupDir(t *testing.T) {
	for _, c := range []struct{ text, top, inside, want string }{
		{"1:cpu:/x\n0::/system.slice/a.service\n", "/sys/fs/cgroup", "/", "/sys/fs/cgroup/system.slice/a.service"},
		{"0::/\n", "/sys/fs/cgroup/unified", "/", "/sys/fs/cgroup/unified"},
		{"0::/gone (deleted)\n", "/c", "/", "/c/gone"},
		{"0::/../other\n", "/c", "/", ""},
		{"0::/docker/1/x\n", "/c", "/docker/1", "/c/x"},
		{"0::/docker/2/x\n", "/c", "/docker/1", ""},
		{"1:cpu:/x\n", "/c", "/", ""},
		{"0::/a\n", "", "/", ""},
	} {
		if got := cgroupDir(c.text, c.top, c.inside); got != c.want {
			t.Errorf("%q, %s, %s: %q, want %q", c.text, c.top, c.inside, got, c.want)
		}
	}
}

func TestProcesses(t *testing.T) {
	r := seedRoot(t, map[string]string{
		"/proc/self/mountinfo": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		"/proc/7/cgroup":       "0::/user.slice\n", "/proc/8/cgroup": "0::/\n", "/proc/9/cgroup": "0::/\n",
		"/proc/7/fdinfo/3": "pos:\t0\nlink_id:\t5\nprog_id:\t42\n", "/proc/7/fdinfo/4": "prog_id:\t43\n",
	})
	link := func(to, from string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(r.path(from)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, r.path(from)); err != nil {
			t.Fatal(err)
		}
	}
	for pid, ns := range map[string]string{"self": "net:[1]", "7": "net:[1]", "8": "net:[2]", "9": "net:[1]"} {
		link(ns, "/proc/"+pid+"/ns/net")
	}
	link("/usr/bin/dae (deleted)", "/proc/7/exe") // 9 is a kernel thread
	link("/usr/bin/other", "/proc/8/exe")
	link("anon_inode:bpf_link", "/proc/7/fd/3")
	link("/etc/passwd", "/proc/7/fd/4")
	if got, want := r.processes("/sys/fs/cgroup"), []Process{{7, "dae", "/sys/fs/cgroup/user.slice"}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := r.holders([]uint32{0, 42, 43}); len(got) != 1 || got[42] != "dae (pid 7)" {
		t.Errorf("%v", got)
	}
}

func TestSmall(t *testing.T) {
	for in, want := range map[string]int{"0": 1, "0-7": 8, "0-1,4-5": 4, "": 0, "x": 0} {
		if got := cpus(in); got != want {
			t.Errorf("cpus %q: %d", in, got)
		}
	}
	if got := common([]Process{{1, "a", "/c/x/y"}, {2, "b", "/c/x"}, {3, "c", ""}, {4, "d", "/c/x/yz"}}); got != "/c/x" {
		t.Errorf("common: %q", got)
	}
	if within("/c/ab", "/c/a") || !within("/c/a/b", "/c/a") || !within("/c/a", "/c/a") || !within("/x", "/") {
		t.Error("within")
	}
	if few([]string{"a", "b", "c", "d"}) != "a, b, c, ..." || few([]string{"a"}) != "a" {
		t.Error("few")
	}
}

func TestTunHolders(t *testing.T) {
	r := seedRoot(t, map[string]string{
		"/proc/5/fdinfo/3": "pos:\t0\nflags:\t02\niff:\ttun0\n", "/proc/5/fdinfo/4": "pos:\t0\n", "/proc/6/fdinfo/3": "iff:\tnone\n", "/proc/self/x": "",
	})
	for path, to := range map[string]string{"5/fd/3": "/dev/net/tun", "5/fd/4": "/dev/net/tun", "6/fd/3": "/dev/null"} {
		path = r.path("/proc/" + path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(map[uint32][]string{5: {"tun0"}}, r.tunHolders()); d != "" {
		t.Error(d)
	}
}
