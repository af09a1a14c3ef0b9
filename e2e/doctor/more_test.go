package doctor

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// find returns the checks of an ID.
func find(all []check, id string) []check {
	return slices.DeleteFunc(slices.Clone(all), func(c check) bool { return c.ID != id })
}

// Before anything is started it tells what will not work, by the rules of the configuration, and changes nothing.
func TestNotStarted(t *testing.T) {
	h := harness.New(t, lab.Options{NoVPNRoute: true})
	config := filepath.Join(h.Dir, "config.yaml")
	write(t, config, "rules:\n  - match: [site.test]\n    target: vpn0\n  - match: [other.test]\n    target: gone0\n")
	var data struct{ Checks []check }
	r := h.JSON(&data, "doctor", "--config", config)
	for id, want := range map[string]string{"started": "nothing is steered", "interface-route": "no IPv4 default route", "targets": "no interface of it exists"} {
		if c := find(data.Checks, id); len(c) != 1 || !strings.Contains(c[0].Found, want) || c[0].Cure == "" {
			t.Errorf("%s: %+v", id, c)
		}
	}
	if c := find(data.Checks, "programs"); r.Code != 1 || len(c) > 0 {
		t.Errorf("exit %d, %+v", r.Code, c)
	}
	if _, err := os.Stat("/sys/fs/bpf/domain-route"); !os.IsNotExist(err) {
		t.Errorf("it made something: %v", err)
	}
	if made, _ := filepath.Glob(filepath.Join(h.Dir, "cache", "*")); len(made) > 0 {
		t.Errorf("it wrote a cache: %v", made)
	}
}

// What is wrong with the configuration.
func configuration(t *testing.T, h *harness.Host) {
	config := filepath.Join(h.Dir, "config.yaml")
	consultWith := func(text string) check {
		write(t, config, text)
		var data struct{ Checks []check }
		h.JSON(&data, "doctor", "--config", config)
		c := find(data.Checks, "configuration")
		if len(c) != 1 {
			t.Fatalf("%+v", c)
		}
		return c[0]
	}
	for text, want := range map[string][2]string{
		"rules: [":  {"fail", "domain-route apply --dry-run"},
		"rules: []": {"warn", "domain-route apply"},
		"history: no\nrules:\n  - match: [site.test]\n    target: vpn0\n": {"warn", "domain-route start"},
		"rules:\n  - match: [site.test]\n    target: vpn0\n":              {"ok", ""},
	} {
		if c := consultWith(text); c.Level != want[0] || c.Cure != want[1] {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func noInterface(t *testing.T, h *harness.Host) {
	h.Must("rule", "add", "away.test", "gone0")
	wantWrong(t, h, "targets", "fail", "gone0: no interface of it exists", "bring gone0 up")
	h.Must("rule", "add", "away.test", "gone0,direct")
	wantWrong(t, h, "targets", "warn", "gone0,direct: none of its interfaces exists", "")
	h.Must("rule", "add", "away.test", "gone0,vpn0")
	wantSound(t, h)
}

func mark(t *testing.T, h *harness.Host) {
	h.Must("rule", "add", "marked.test", "mark:0x23")
	c := wantWrong(t, h, "mark", "fail", "mark:0x23: no routing rule of IPv4", "ip rule add fwmark 0x23 lookup TABLE")
	mend(t, h, c.Cure, "TABLE", "35", "INTERFACE", "vpn0")
	c = wantWrong(t, h, "mark", "warn", "mark:0x23: no routing rule of IPv6", "ip -6 rule add fwmark 0x23")
	mend(t, h, c.Cure, "TABLE", "35", "INTERFACE", "vpn0")
	wantSound(t, h)
	ip(t, h, "route", "flush", "table", "35")
	c = wantWrong(t, h, "mark", "fail", "its routing table 35 has no default route for IPv4", "ip route add default dev INTERFACE table 35")
	mend(t, h, c.Cure, "INTERFACE", "vpn0")
	wantSound(t, h)
}

func nameServerBlocked(t *testing.T, h *harness.Host) {
	h.Must("rule", "add", h.DNS.Addr4.String(), "block")
	c := wantWrong(t, h, "name-server", "fail", "a rule blocks it", "domain-route rule add "+h.DNS.Addr4.String()+" direct")
	mend(t, h, c.Cure)
	wantSound(t, h)
}

// Names that nobody sees: nss-resolve with DNS over TLS while only sockets are observed.
func TestUnseenNames(t *testing.T) {
	h, _, _ := sound(t, "--observe", "sockets")
	resolved, err := h.StartResolved()
	harness.Need(t, err == nil, "systemd-resolved")
	defer resolved.Stop()
	must(t, h.SetNSSwitch("files resolve [!UNAVAIL=return] dns"))
	wantWrong(t, h, "name-service", "warn", "nss-resolve", "--observe libc")
	write(t, "/etc/systemd/resolved.conf.d/tls.conf", "[Resolve]\nDNSOverTLS=yes\n")
	c := wantWrong(t, h, "name-service", "fail", "DNS over TLS", "domain-route start --observe sockets --observe libc", "dns-over-tls")
	mend(t, h, c.Cure)
	wantSound(t, h)
}

// Programs beside a sub-tree are told, which is no fault: who attached there may have meant it.
func TestOutsideCgroup(t *testing.T) {
	h, _, _ := sound(t)
	h.MustAgent(lab.AgentOptions{OutsideCgroup: true})
	c := find(consult(t, h), "cgroup")
	if len(c) != 1 || c[0].Level != "note" || !strings.Contains(c[0].Found, "doctor.test (1)") {
		t.Errorf("%+v", c)
	}
	h.Must("rule", "add", "elsewhere.test", "vpn0", "cgroup=/elsewhere")
	wantWrong(t, h, "cgroup-condition", "warn", "elsewhere.test cgroup=/elsewhere", "domain-route start")
}

// Connections from before a rule are told, and reset has them where they belong.
func TestOldConnections(t *testing.T) {
	h, a, _ := sound(t)
	late := h.MustHost("late.test")
	must(t, via.Learn(a, "late.test"))
	s, err := a.Socket("tcp4")
	must(t, err)
	must(t, s.Connect(netip.AddrPortFrom(late.Addr4, lab.EchoPort)))
	h.Must("rule", "add", "late.test", "vpn0")
	c := find(consult(t, h), "old-connections")
	if len(c) != 1 || c[0].Level != "note" || !strings.Contains(c[0].Found, "late.test") || c[0].Cure != "domain-route reset" {
		t.Fatalf("%+v", c)
	}
	mend(t, h, c[0].Cure)
	if c := find(consult(t, h), "old-connections"); c[0].Level != "ok" {
		t.Errorf("%+v", c)
	}
}

// Elsewhere than at home it says so, and nothing of interfaces that are not those.
func TestElsewhere(t *testing.T) {
	h, _, _ := sound(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := h.CommandIn(ctx, h.Internet, harness.Binary(t), "doctor").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "not the network namespace that is steered") || strings.Contains(string(out), "vpn0") {
		t.Errorf("%v: %s", err, out)
	}
}

// A filter that sends on what is steered to an interface.
func redirect(t *testing.T, h *harness.Host) {
	tc := func(args ...string) error { return h.HostCommand(t.Context(), "tc", args...).Run() }
	harness.Need(t, tc("qdisc", "add", "dev", "vpn0", "clsact") == nil, "tc")
	harness.Need(t, tc("filter", "add", "dev", "vpn0", "egress", "protocol", "ip", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "redirect", "dev", "wan0") == nil,
		"the modules of tc's u32 and mirred")
	c := wantWrong(t, h, "other-programs", "warn", "tc_egress: filter \"u32\" at interface vpn0: it sends what is steered there by another interface", "tc filter del dev vpn0 egress")
	mend(t, h, c.Cure)
	wantSound(t, h)
}
