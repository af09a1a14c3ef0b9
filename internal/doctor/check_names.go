package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var nameChecks = []check{
	{Names, []string{"browser-doh"}, browserDoH},
	{Names, []string{"c-library"}, libraries},
	{Names, []string{"leaks"}, leaks},
	{Names, []string{"audit"}, audit},
	{Names, []string{"evicted-names"}, evicted},
}

// cure writes a policy that switches DNS over HTTPS off.
func (b Browser) cure() string {
	file, text := b.PolicyDir+"/domain-route.json", `{"DnsOverHttpsMode":"off"}`
	word := `"DnsOverHttpsMode": "off"`
	if b.Firefox {
		file, text = b.PolicyDir+"/policies.json", `{"policies":{"DNSOverHTTPS":{"Enabled":false,"Locked":true}}}`
		word = `"DNSOverHTTPS": {"Enabled": false, "Locked": true}`
	}
	if b.By != "" {
		return fmt.Sprintf("set %s in %s, and restart the browser", word, quote(b.By))
	}
	return fmt.Sprintf("mkdir -p %s && echo '%s' > %s", quote(b.PolicyDir), text, quote(file))
}

func browserDoH(f *Facts) []Check {
	var all []Check
	for _, b := range f.Host.Browsers {
		c := Check{ID: "browser-doh", Subject: b.Name, Level: Note, Cure: b.cure(), Details: b.Chosen}
		server, known := f.Host.Resolver.upgradable()
		switch {
		case b.Policy == dohOff:
			c.Level, c.Cure, c.Found = OK, "", "a policy switches DNS over HTTPS off: "+b.By
		case b.Policy == dohOn:
			c.Level, c.Found = Fail, "a policy switches DNS over HTTPS on, so that nobody sees its names: "+b.By
		case len(b.Chosen) > 0:
			c.Level, c.Found = Fail, "DNS over HTTPS is switched on, so that nobody sees its names: "+few(b.Chosen)
		case known && !b.Firefox:
			c.Level, c.Found = Warn, fmt.Sprintf("changes to DNS over HTTPS by itself with the name server %s, and then nobody sees its names", server)
		default:
			c.Found = "no policy keeps it from DNS over HTTPS, which it may begin to use by itself"
		}
		all = append(all, c)
	}
	if all == nil {
		return one("browser-doh", OK, "no browser that resolves by itself is installed", "")
	}
	return all
}

func libraries(f *Facts) []Check {
	if f.Running == nil || !f.Home || !f.sees("libc") {
		return nil
	}
	var all []Check
	n := 0
	for _, l := range f.Running.Status.Libraries {
		n++
		switch {
		case l.Attached:
		case l.PID == 0:
			all = append(all, Check{ID: "c-library", Level: Fail, Subject: l.Path, Cure: "domain-route start",
				Found: "is not observed: it is new, or was replaced, by an upgrade for instance"})
		default:
			all = append(all, Check{ID: "c-library", Level: Warn, Subject: l.Path, Cure: "domain-route start; if it stays, restart the program",
				Found: fmt.Sprintf("of process %d is not observed: it is new, or cannot be", l.PID)})
		}
	}
	for _, w := range f.Running.Status.Warnings {
		if strings.Contains(w, "C librar") && !strings.Contains(w, " is not observed: ") {
			all = append(all, Check{ID: "c-library", Level: Note, Found: w})
		}
	}
	if len(all) == 0 {
		return one("c-library", OK, fmt.Sprintf("all are observed: %d", n), "")
	}
	return all
}

// recent is how long a leak counts: what was mended since should not go on being told as wrong.
const recent = time.Hour

func leaks(f *Facts) []Check {
	if f.Running == nil || !f.Running.Status.Audit {
		return nil
	}
	var names, details []string
	late := false
	for _, l := range f.Running.Leaks {
		if name := l.Name.String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
		late = late || f.Now.Sub(l.When) < recent
		details = append(details, fmt.Sprintf("%s %s:%d by %s (pid %d)", l.Name, l.Address, l.Port, l.Comm, l.PID))
	}
	if len(names) == 0 {
		return one("leaks", OK, "no connection with a rule for its SNI was seen that was not steered", "")
	}
	c := Check{ID: "leaks", Level: Note, Details: details, Found: fmt.Sprintf("connections went past their rules (%d of late), to: %s", len(f.Running.Leaks), few(names))}
	if late {
		c.Level, c.Cure = Warn, "see who: domain-route status; end their DNS over HTTPS, then: domain-route reset"
	}
	return []Check{c}
}

func audit(f *Facts) []Check {
	if f.Running == nil {
		return nil
	}
	hides := slices.ContainsFunc(f.Host.Browsers, func(b Browser) bool { return b.Policy != dohOff })
	switch {
	case f.Running.Status.Audit:
		return one("audit", OK, "connections that are not steered are looked at", "")
	case hides:
		return one("audit", Note, "is off: connections of browsers that resolve by themselves go unseen", "domain-route start --audit")
	}
	return nil
}

func evicted(f *Facts) []Check {
	if f.Running == nil {
		return nil
	}
	if n := f.Running.Evicted; n > 0 {
		return one("evicted-names", Note, fmt.Sprintf("of %d learnt names the text of %d is gone: rules that come later do not find those", f.Running.Learnt, n), "domain-route flush")
	}
	return one("evicted-names", OK, fmt.Sprintf("the text of all %d learnt names is there", f.Running.Learnt), "")
}
