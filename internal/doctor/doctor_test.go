package doctor

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// rules parses "PATTERN TARGET [CONDITION]" lines.
func rules(t testing.TB, lines ...string) *ruleset.Set {
	t.Helper()
	set := ruleset.New()
	for _, line := range lines {
		words := strings.Fields(line)
		p, err := pattern.Parse(words[0])
		if err != nil {
			t.Fatal(err)
		}
		to, err := ruleset.ParseTarget(words[1])
		if err != nil {
			t.Fatal(err)
		}
		c, err := ruleset.ParseCondition(words[2:], nil)
		if err != nil {
			t.Fatal(err)
		}
		set.Add(ruleset.Rule{Pattern: p, Condition: c, Target: to})
	}
	return set
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, p := range texts {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// wg0 is an interface with all it needs.
func wg0() netdev.Facts {
	return netdev.Facts{Device: netdev.Device{Index: 7, Name: "wg0"}, Exists: true, Up: true, Carrier: true,
		Addrs4: prefixes("10.0.0.2/32"), Addrs6: prefixes("fd00::2/128"), Routed4: true, Routed6: true}
}

// eth1 likewise, with an Ethernet header.
func eth1() netdev.Facts {
	l := wg0()
	l.Name, l.Ethernet = "eth1", true
	l.Default4 = []netdev.Route{{Gateway: netip.MustParseAddr("10.0.0.1"), Metric: 9999}}
	l.Default6 = []netdev.Route{{Gateway: netip.MustParseAddr("fd00::1"), Metric: 9999}}
	return l
}

// soundFacts are those of a host on which nothing is wrong.
func soundFacts(t testing.TB) *Facts {
	set := rules(t, "example.com wg0")
	var hits []dataplane.Hit
	for r := range set.All() {
		hits = append(hits, dataplane.Hit{Rule: r, Count: 3})
	}
	const top = "/sys/fs/cgroup"
	return &Facts{
		Now: time.Unix(1_800_000_000, 0), State: dataplane.StateStarted, Home: true, Cgroup: top, Rules: set,
		Support: dataplane.Support{Cgroup: top, BPFFS: true, Uprobes: true, ReadsKernel: true, Resends: true},
		Host: Host{Release: "6.18.1", CPUs: 4, Attached: true, Populated: true, Unit: Unit{true, true}, Modules: map[string]bool{"tcp_diag": true, "udp_diag": true},
			Procs:    []Process{{100, "sshd", top + "/system.slice/ssh.service"}},
			Resolver: Resolver{Servers: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, NSS: []string{"files", "dns"}, DoT: "no"}},
		Config: Config{Files: []string{"/etc/domain-route/config.yaml"}},
		Links:  []netdev.Facts{wg0()},
		Running: &Running{Hits: hits, Learnt: 5, Fill: []dataplane.Fill{{Map: "users_plain", Entries: 5, Max: 13312, LRU: true}},
			Status: dataplane.Status{State: dataplane.StateStarted, Home: true, Rules: 1, Cgroup: top, Observers: []string{"sockets", "libc"}, Audit: true,
				Programs:  []dataplane.Program{{Hook: "connect4", Attached: true}},
				Libraries: []dataplane.Library{{Path: "/lib/libc.so.6", Attached: true}}}},
	}
}

func TestSound(t *testing.T) {
	all := Examine(soundFacts(t))
	for _, c := range all {
		if c.Level != OK || c.Found == "" || c.Group == "" {
			t.Errorf("%+v", c)
		}
	}
	if !Sound(all) {
		t.Error("not sound")
	}
}

// A strict reverse path is no harm where the host's own default route is by the interface, too.
func TestStrictOnTheWayOut(t *testing.T) {
	f := soundFacts(t)
	f.Links[0].RPFilter, f.Links[0].Main4 = 1, true
	if all := Examine(f); !Sound(all) {
		t.Errorf("%+v", all)
	}
}

// seed is one thing that is other than on a sound host, and what is to be said of it.
type seed struct {
	what  string
	seed  func(*Facts)
	id    string
	level Level
	found string
	cure  string
}

func (s seed) test(t *testing.T) {
	f := soundFacts(t)
	s.seed(f)
	all := Examine(f)
	i := slices.IndexFunc(all, func(c Check) bool {
		return c.ID == s.id && c.Level == s.level && strings.Contains(c.Subject+": "+c.Found, s.found) && strings.Contains(c.Cure, s.cure)
	})
	if i < 0 {
		t.Errorf("want %s %s %q -> %q; got %+v", s.level, s.id, s.found, s.cure, slices.DeleteFunc(all, func(c Check) bool { return c.Level == OK }))
		return
	}
	if all[i].Group != IDs()[s.id] {
		t.Errorf("%s is of group %q", s.id, all[i].Group)
	}
	if Sound(all) == s.level.Wrong() {
		t.Errorf("sound: %v", Sound(all))
	}
}

func TestSeeded(t *testing.T) {
	all := slices.Concat(kernelSeeds, attachmentSeeds, interfaceSeeds(t), resolverSeeds(t), nameSeeds, tableSeeds(t))
	tried := map[string]bool{}
	for _, s := range all {
		t.Run(s.id+" "+s.what, s.test)
		tried[s.id] = true
	}
	// Given only where all is well.
	for _, id := range []string{"bpffs", "interface"} {
		tried[id] = true
	}
	for id := range IDs() {
		if !tried[id] {
			t.Errorf("nothing is seeded for %s", id)
		}
	}
}

var kernelSeeds = []seed{
	{"too old", func(f *Facts) {
		f.Support.Refused = &dataplane.CureError{Err: fmt.Errorf("%w: kernel 5.10 is too old", dataplane.ErrRefused), Cure: "boot a newer one"}
	}, "kernel", Fail, ": kernel 5.10 is too old", "boot a newer one"},
	{"not mounted", func(f *Facts) { f.Support.NoCgroup = errors.New("not mounted anywhere") }, "cgroup-v2", Fail, "not mounted", ""},
	{"in a container", func(f *Facts) { f.Host.Container = true }, "cgroup-v2", Note, "container", ""},
	{"beside v1", func(f *Facts) { f.Host.Hybrid = true }, "cgroup-v2", OK, "beside cgroup v1", ""},
	{"none yet", func(f *Facts) { f.Support.BPFFS = false }, "bpffs", OK, "start mounts one", ""},
	{"none", func(f *Facts) { f.Support.Uprobes = false }, "uprobes", Warn, "observer libc cannot be", "CONFIG_UPROBE_EVENTS"},
	{"before 6.18", func(f *Facts) { f.Support.Resends = false }, "first-datagram", Note, "EINTR", ""},
	{"with no such rules", func(f *Facts) { f.Host.Lockdown, f.Support.ReadsKernel = "confidentiality", false }, "lockdown", Note, "no rules with cgroup=", ""},
	{"no destroy", func(f *Facts) { f.Host.Options = map[string]string{"CONFIG_INET_DIAG_DESTROY": "n"} }, "reset", Note, "CONFIG_INET_DIAG_DESTROY", ""},
	{"no module", func(f *Facts) { f.Host.Modules["udp_diag"] = false }, "reset", Note, "no udp_diag", "modprobe -a tcp_diag udp_diag"},
	{"built in", func(f *Facts) {
		f.Host.Modules, f.Host.Options = nil, map[string]string{"CONFIG_INET_TCP_DIAG": "y", "CONFIG_INET_UDP_DIAG": "y"}
	}, "reset", OK, "", ""},
	{"yama", func(f *Facts) { f.Host.Ptrace = 3 }, "reset", Note, "ptrace_scope", ""},
}

var attachmentSeeds = []seed{
	{"stopped", func(f *Facts) { f.State, f.Running = dataplane.StateStopped, nil }, "started", Warn, "nothing is steered", "domain-route start"},
	{"damaged", func(f *Facts) {
		f.State, f.Running, f.Said = dataplane.StateDamaged, nil, []string{"the map x is missing"}
	},
		"started", Fail, "the map x is missing", "domain-route stop && domain-route start"},
	{"elsewhere", func(f *Facts) { f.Home = false }, "namespace", Note, "not the network namespace", ""},
	{"detached", func(f *Facts) { f.Running.Status.Programs[0].Attached = false }, "programs", Fail, "connect4", "domain-route start"},
	{"unpinned", func(f *Facts) {
		f.Running.Status.Warnings = []string{"egress is not attached; mend it: domain-route start"}
	}, "programs", Fail, "egress", "domain-route start"},
	{"gone", func(f *Facts) {
		f.Cgroup, f.Running.Status.Warnings = "/sys/fs/cgroup/a", []string{"nothing is steered: the cgroup /sys/fs/cgroup/a is gone; ..."}
	}, "cgroup", Fail, "/sys/fs/cgroup/a is gone", "domain-route start"},
	{"empty", func(f *Facts) { f.Cgroup, f.Host.Populated = "/sys/fs/cgroup/user.slice", false },
		"cgroup", Fail, "outside it: sshd (1)", "domain-route start --cgroup /sys/fs/cgroup/system.slice/ssh.service;"},
	{"partly", func(f *Facts) { f.Cgroup = "/sys/fs/cgroup/system.slice/ssh" }, "cgroup", Note, "not steered: sshd (1)", ""},
	{"to come, not there", func(f *Facts) {
		f.State, f.Running, f.Cgroup, f.Host.Attached = dataplane.StateStopped, nil, "/sys/fs/cgroup/x", false
	},
		"cgroup", Fail, "/sys/fs/cgroup/x does not exist", "configuration"},
	{"too many", func(f *Facts) { f.Partly = true }, "other-programs", Note, "too many cgroups", ""},
	{"all inside", func(f *Facts) { f.Cgroup = "/sys/fs/cgroup/system.slice" }, "cgroup", OK, "all programs", ""},
	{"second tool", func(f *Facts) {
		f.Others = []dataplane.Other{{Hook: "connect4", Cgroup: f.Cgroup, Side: dataplane.Here, ID: 42, Name: "cg_connect4", After: true}}
		f.Holders = map[uint32]string{42: "dae (pid 9)"}
	}, "other-programs", Warn, `connect4: program 42 "cg_connect4" at /sys/fs/cgroup, of dae: it runs after ours`,
		"stop dae (pid 9), or detach it: bpftool cgroup detach /sys/fs/cgroup connect4 id 42"},
	{"second tool, several hooks", others("connect4", "cg_connect4", "connect6", "cg_connect6", "egress", "cg_egress"), "other-programs", Warn,
		"connect4 connect6 egress: 3 programs at /sys/fs/cgroup, of dae: they run after ours",
		`stop dae (pid 9), or detach them: for id in 70 71; do bpftool link detach id $id; done; bpftool cgroup detach /sys/fs/cgroup egress id 42`},
	{"another of us", others("connect4", "steer_connect4", "connect6", "steer_connect6"), "other-programs", Warn,
		"connect4 connect6: 2 programs at /sys/fs/cgroup, of another domain-route: they run", "stop dae (pid 9), or detach them: for id in"},
	{"nobody's", func(f *Facts) {
		others("connect4", "steer_connect4", "connect6", "steer_connect6")(f)
		f.Holders, f.Others[0].Link, f.Others[1].Link = nil, 0, 0
	}, "other-programs", Warn, "2 programs", `domain-route stop where it was started, or detach them: for p in "connect4 id 40" "connect6 id 41"; do bpftool cgroup detach /sys/fs/cgroup $p; done`},
	{"systemd's filter", func(f *Facts) {
		f.Others = []dataplane.Other{{Hook: "egress", Cgroup: "/sys/fs/cgroup/system.slice/a b.service", ID: 5, Name: "sd_fw_egress"}}
	}, "other-programs", Note, "systemd's IPAddressDeny=", ""},
	{"systemd's filters", func(f *Facts) {
		for _, hook := range []string{"ingress", "egress"} {
			f.Others = append(f.Others, dataplane.Other{Hook: hook, Cgroup: "/sys/fs/cgroup/system.slice/a.service", ID: 5, Name: "sd_fw_" + hook})
		}
	}, "other-programs", Note, "2 filters, of systemd's IPAddressDeny= and the like may drop", ""},
	{"a path to quote", func(f *Facts) {
		f.Others = []dataplane.Other{{Hook: "sock_create", Cgroup: "/sys/fs/cgroup/a'; reboot", ID: 5}}
	}, "other-programs", Warn, "", `detach '/sys/fs/cgroup/a'\''; reboot' sock_create id 5`},
	{"a VPN", func(f *Facts) { f.Host.Procs = append(f.Host.Procs, Process{5, "tailscaled", "/sys/fs/cgroup/x"}) }, "other-tools", Note, "tailscaled", "direct"},
	{"above main", func(f *Facts) { f.Policy = []netdev.Policy{{Priority: 5270, Mark: 0x80000, Table: 52}} }, "routing-rules", Note, "IPv4 5270: mark 0x80000, table 52", ""},
	{"broken", func(f *Facts) { f.Config.Error = "line 3: no" }, "configuration", Fail, "line 3: no", "apply --dry-run"},
	{"none", func(f *Facts) { f.Config.Files = nil }, "configuration", Note, "", "domain-route rule save"},
	{"hidden", func(f *Facts) {
		f.State, f.Running, f.Said = dataplane.StateStopped, nil, []string{(&dataplane.HiddenError{Namespace: "x"}).Error()}
	}, "started", Warn, "this looks like ip netns exec", "nsenter --net=/run/netns/x domain-route ..."},
	{"others run", func(f *Facts) { f.Config.Differs = true }, "configuration", Warn, "", "domain-route apply"},
	{"settings", func(f *Facts) {
		f.Config.Settings = []string{"history is no, and yes as it runs; take it over: domain-route start"}
	},
		"configuration", Warn, "history is no, and yes as it runs", "domain-route start"},
	{"findings", func(f *Facts) { f.Config.Findings = 3 }, "configuration", Note, "3", "apply --dry-run"},
	{"not enabled", func(f *Facts) { f.Host.Unit.Enabled = false }, "at-boot", Note, "not enabled", "systemctl enable domain-route"},
	{"no unit", func(f *Facts) { f.Host.Unit = Unit{} }, "at-boot", Note, "docs/boot.md", ""},
}

// others are programs of dae, given as hooks and names. The third is attached without a link.
func others(hooks ...string) func(*Facts) {
	return func(f *Facts) {
		f.Holders = map[uint32]string{}
		for i := 0; i < len(hooks); i += 2 {
			id := uint32(40 + i/2)
			o := dataplane.Other{Hook: hooks[i], Cgroup: f.Cgroup, Side: dataplane.Here, ID: id, Name: hooks[i+1], After: true, Link: id + 30}
			if i == 4 {
				o.Link = 0
			}
			f.Others, f.Holders[id] = append(f.Others, o), "dae (pid 9)"
		}
	}
}

// Of two tools at one cgroup, and of one at two, each has a line, and no program more than one.
func TestToolsHaveALineEach(t *testing.T) {
	f := soundFacts(t)
	others("connect4", "cg_connect4", "connect6", "cg_connect6", "sock_create", "cil_sock")(f)
	below := f.Others[1]
	below.Cgroup, below.Hook = "/sys/fs/cgroup/a", "sendmsg6"
	f.Others = append(f.Others, below)
	all := slices.DeleteFunc(otherPrograms(f), func(c Check) bool { return !c.Level.Wrong() })
	var subjects []string
	for _, c := range all {
		subjects = append(subjects, c.Subject)
	}
	if got := strings.Join(subjects, ", "); got != "connect4 connect6, sock_create, sendmsg6" || len(all[0].Details) != 2 {
		t.Errorf("%s: %+v", got, all)
	}
}

// Cures work as it stands: what needs a started system, or a configuration, is no cure without.
func TestCuresFit(t *testing.T) {
	f := soundFacts(t)
	f.State, f.Running, f.Config.Files = dataplane.StateStopped, nil, nil
	if c := configuration(f); len(c) != 1 || c[0].Level != Note || c[0].Cure != "" {
		t.Errorf("not started, no configuration: %+v", c)
	}
	f.Rules = rules(t, "a.example wg0", "b.a.example wg0")
	if c := shadowed(f); len(c) != 1 || !strings.HasSuffix(c[0].Cure, ": domain-route apply --dry-run") {
		t.Errorf("not started: %+v", c)
	}
	f.Running = &Running{}
	if c := shadowed(f); len(c) != 1 || c[0].Cure != "domain-route rule del b.a.example" {
		t.Errorf("started: %+v", c)
	}
}

// Programs of a cgroup below matter only if that is attached to, which is not known before the start.
func TestOthersBelow(t *testing.T) {
	f := soundFacts(t)
	others("connect4", "steer_connect4", "connect6", "steer_connect6")(f)
	f.State, f.Running = dataplane.StateStopped, nil
	for i := range f.Others {
		f.Others[i].Cgroup, f.Others[i].Side = "/sys/fs/cgroup/a", dataplane.Below
	}
	if c := otherPrograms(f); len(c) != 1 || c[0].Level != Note || c[0].Cure != "stop dae (pid 9)" || !strings.HasPrefix(c[0].Found, "if started without --cgroup: 2 programs") {
		t.Errorf("%+v", c)
	}
}

// What is told only where it matters.
func TestNotTold(t *testing.T) {
	down := wg0()
	down.Up = false
	f := soundFacts(t)
	f.Links, f.Rules = []netdev.Facts{down}, rules(t, "example.com gone0,wg0", "other.example wg0")
	for _, c := range links(f) {
		if strings.Contains(c.Found, "go on") || c.Cure != "ip link set wg0 up" {
			t.Errorf("nothing is behind it: %+v", c)
		}
	}
	f.Rules = rules(t, "a.example wg0 cgroup=/a", "b.example wg0")
	if c := shadowed(f); len(c) != 1 || len(c[0].Details) > 0 {
		t.Errorf("one rule with a condition: %+v", c)
	}
	f.Rules = rules(t, "a.example wg0 cgroup=/a", "a.example direct cgroup=/b")
	if c := shadowed(f); len(c) != 1 || len(c[0].Details) != 1 || !strings.Contains(c[0].Details[0], "2 rules with user= or cgroup=") {
		t.Errorf("two: %+v", c)
	}
}

// Groups come in their order, and in each what is wrong comes first.
func TestOrder(t *testing.T) {
	f := soundFacts(t)
	f.Host.Resolver.Servers = nil
	f.Config.Differs = true
	f.Support.Resends = false
	f.Links[0].Up = false
	group, level := 0, 0
	for _, c := range Examine(f) {
		g := slices.Index(groups, c.Group)
		if g < group || g == group && rank(c.Level) < level {
			t.Errorf("%+v comes too late", c)
		}
		group, level = g, rank(c.Level)
	}
}

// docs/doctor.md has each check in its group, and no other.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	found, group := map[string]Group{}, Group("")
	row := regexp.MustCompile("^\\| `([a-z0-9-]+)` \\|")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "## "); ok {
			group = Group(strings.ToLower(strings.TrimSpace(rest)))
		}
		if m := row.FindStringSubmatch(line); m != nil && group != "" {
			found[m[1]] = group
		}
	}
	if !maps.Equal(found, IDs()) {
		t.Errorf("the page has %v\nand the code %v", found, IDs())
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"/a/b-c.d": "/a/b-c.d", "": "''", "a b": "'a b'", "$(x)": "'$(x)'", "it's": `'it'\''s'`, "a\nb": "'a\nb'"} {
		if got := quote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// What a rule that is added sweeps away is told once, and nothing of other rules.
func TestSwept(t *testing.T) {
	f := soundFacts(t)
	f.Rules, f.Tailscale = rules(t, "default wg0", "198.51.100.0/24 block", "example.com wg0"), true
	f.Host.Resolver.Servers = append(f.Host.Resolver.Servers, netip.MustParseAddr("198.51.100.53"), magicDNS)
	for by, want := range map[string]string{
		"default": "name-server 192.0.2.53, tailscale 100.64.0.0/10", "198.51.100.0/24": "name-server 198.51.100.53", "example.com": "", "100.64.0.0/10": "",
	} {
		p, err := pattern.Parse(by)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range Swept(f, p) {
			got = append(got, c.ID+" "+c.Subject)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s; want %s", by, text, want)
		}
	}
	f.Rules = rules(t, "default wg0", "100.64.0.0/10 tailscale0")
	f.Links = append(f.Links, netdev.Facts{Device: netdev.Device{Name: "tailscale0"}, Exists: true})
	if c, _ := f.tailscale(); c != nil {
		t.Errorf("to itself: %+v", c)
	}
}
