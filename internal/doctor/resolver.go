package doctor

import (
	"net/netip"
	"slices"
	"strings"
)

// Resolver is how names are looked up.
type Resolver struct {
	Servers  []netip.Addr // of /etc/resolv.conf
	Upstream []netip.Addr // of systemd-resolved or dnsmasq, where the first leads to such a one; empty: not known
	NSS      []string     // sources of host names, as /etc/nsswitch.conf lists them, without [...]
	DoT      string       // systemd-resolved's DNSOverTLS: yes, opportunistic, no
	DoTFile  string       // where that is said
	Daemons  []string     // of this network namespace: systemd-resolved, nscd, sssd_nss, dnsmasq, unbound, ...
}

// daemons are the programs that have to do with names.
var daemons = []string{"systemd-resolved", "nscd", "nsncd", "sssd_nss", "dnsmasq", "unbound", "stubby", "dnscrypt-proxy", "cloudflared"}

func (r root) resolver(procs []Process) Resolver {
	res := Resolver{Servers: nameservers(r.word("/etc/resolv.conf")), NSS: hostSources(r.word("/etc/nsswitch.conf")), DoT: "no"}
	res.Upstream = nameservers(r.word("/run/systemd/resolve/resolv.conf"))
	for _, path := range r.resolvedFiles() {
		if value := setting(r.word(path), "Resolve", "DNSOverTLS"); value != "" {
			res.DoT, res.DoTFile = truth(value), path
		}
	}
	for _, p := range procs {
		if slices.Contains(daemons, p.Program) && !slices.Contains(res.Daemons, p.Program) {
			res.Daemons = append(res.Daemons, p.Program)
		}
	}
	return res
}

// has tells whether a daemon runs.
func (r Resolver) has(daemon string) bool { return slices.Contains(r.Daemons, daemon) }

// resolvedFiles are the configuration of systemd-resolved, the later counting (resolved.conf(5)).
func (r root) resolvedFiles() []string {
	dirs := []string{"/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"}
	var all []string
	for _, dir := range slices.Backward(dirs) { // of the main file the first counts
		if path := dir + "/resolved.conf"; r.exists(path) {
			all = append(all, path)
			break
		}
	}
	dropIns := map[string]string{} // of one name the file in the last directory counts
	for _, dir := range dirs {
		for _, name := range r.list(dir + "/resolved.conf.d") {
			if strings.HasSuffix(name, ".conf") {
				dropIns[name] = dir + "/resolved.conf.d/" + name
			}
		}
	}
	names := make([]string, 0, len(dropIns))
	for name := range dropIns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		all = append(all, dropIns[name])
	}
	return all
}

// setting is the last value of a key in a section of a file in systemd's form.
func setting(text, section, key string) (value string) {
	in := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			in = line[1 : len(line)-1]
		case in == section:
			if k, v, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
				value = strings.TrimSpace(v)
			}
		}
	}
	return value
}

// truth is a value that may be a boolean in systemd's words.
func truth(value string) string {
	switch strings.ToLower(value) {
	case "1", "y", "yes", "t", "true", "on":
		return "yes"
	case "0", "n", "no", "f", "false", "off":
		return "no"
	}
	return strings.ToLower(value)
}

// nameservers reads resolv.conf(5).
func nameservers(text string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			all = append(all, a.Unmap().WithZone(""))
		}
	}
	return all
}

// hostSources reads the line of nsswitch.conf(5) about hosts, without what to do when.
func hostSources(text string) []string {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "hosts:")
		if !ok {
			continue
		}
		for {
			from, to := strings.Index(rest, "["), strings.Index(rest, "]")
			if from < 0 || to < from {
				break
			}
			rest = rest[:from] + " " + rest[to+1:]
		}
		return strings.Fields(rest)
	}
	return []string{"dns", "files"} // what glibc does without
}

// public are name servers of those whose DNS over HTTPS browsers know: they change over by themselves.
var public = []netip.Addr{
	netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("1.0.0.1"), netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("8.8.4.4"),
	netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("149.112.112.112"), netip.MustParseAddr("9.9.9.11"),
	netip.MustParseAddr("208.67.222.222"), netip.MustParseAddr("208.67.220.220"), netip.MustParseAddr("185.228.168.9"),
	netip.MustParseAddr("2606:4700:4700::1111"), netip.MustParseAddr("2606:4700:4700::1001"), netip.MustParseAddr("2001:4860:4860::8888"),
	netip.MustParseAddr("2001:4860:4860::8844"), netip.MustParseAddr("2620:fe::fe"), netip.MustParseAddr("2620:fe::9"),
}

// upgradable is a name server that browsers know by DNS over HTTPS, or none.
func (r Resolver) upgradable() (netip.Addr, bool) {
	for _, a := range slices.Concat(r.Servers, r.Upstream) {
		if slices.Contains(public, a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}
