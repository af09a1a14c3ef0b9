package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

var tableChecks = []check{
	{Tables, []string{"map-fill"}, mapFill},
	{Tables, []string{"map-size"}, mapSize},
	{Tables, []string{"rules-shadowed"}, shadowed},
	{Tables, []string{"rules-hit"}, neverHit},
	{Tables, []string{"counters"}, counters},
	{Tables, []string{"old-connections"}, oldConnections},
}

// nearlyFull is from which share of its entries on a map is told of, in per cent.
const nearlyFull = 90

func mapFill(f *Facts) []Check {
	if f.Running == nil {
		return nil
	}
	var all []Check
	most, name := 0, ""
	for _, m := range f.Running.Fill {
		if m.Max == 0 {
			continue
		}
		share := m.Entries * 100 / m.Max
		if share >= most {
			most, name = share, m.Map
		}
		if share < nearlyFull {
			continue
		}
		all = append(all, fullMap(m))
	}
	switch {
	case all != nil:
		return all
	case name == "":
		return nil
	}
	return one("map-fill", OK, fmt.Sprintf("the fullest map is %s, %d %%", name, most), "")
}

// fullMap says what it means that a map is nearly full.
func fullMap(m dataplane.Fill) Check {
	c := Check{ID: "map-fill", Level: Warn, Subject: m.Map, Cure: "domain-route flush",
		Found: fmt.Sprintf("%d of %d entries: the least lately used names are forgotten", m.Entries, m.Max)}
	kind, _, _ := strings.Cut(m.Map, "_")
	switch {
	case m.Map == "own":
		c.Level, c.Cure = Fail, "take addresses from interfaces that do not need them: ip addr"
		c.Found = fmt.Sprintf("%d of %d addresses of this host: connections to further ones may be steered", m.Entries, m.Max)
	case m.Map == "hits":
		c.Level, c.Cure = Note, ""
		c.Found = fmt.Sprintf("%d of %d entries: connections by further rules are not counted", m.Entries, m.Max)
	case !slices.Contains([]string{"users", "host", "crowd", "names"}, kind):
		c.Level, c.Cure = Note, ""
		c.Found = fmt.Sprintf("%d of %d entries: the least lately used go", m.Entries, m.Max)
	case strings.HasSuffix(m.Map, "_plain"):
		c.Cure = "domain-route flush, or keep no names without a rule: domain-route start --history=no"
	}
	return c
}

// perCPU is what each possible CPU may keep to itself of an LRU map, perCPUSpare in dataplane.
const perCPU = 256

func mapSize(f *Facts) []Check {
	if f.Running == nil || f.Host.CPUs == 0 || len(f.Running.Fill) == 0 {
		return nil
	}
	for _, m := range f.Running.Fill {
		if m.LRU && m.Max < 2*perCPU*f.Host.CPUs {
			return []Check{{ID: "map-size", Level: Note, Subject: m.Map,
				Found: fmt.Sprintf("%d entries for %d possible CPUs: before Linux 6.16 it may forget before it is full", m.Max, f.Host.CPUs)}}
		}
	}
	return one("map-size", OK, fmt.Sprintf("there is room for what %d possible CPUs keep to themselves", f.Host.CPUs), "")
}

// mostShadowed is how many of them are told, with --verbose.
const mostShadowed = 100

func shadowed(f *Facts) []Check {
	if f.Rules == nil || f.Rules.Len() == 0 {
		return nil
	}
	if f.Rules.Len() > mostLookedAt {
		return one("rules-shadowed", Note, fmt.Sprintf("%d rules are too many to look for it here", f.Rules.Len()), "")
	}
	var never, anyway []string
	var cure, cureAnyway string
	for s := range f.Rules.Shadowed() {
		if s.Kind != ruleset.Unreachable {
			if anyway == nil {
				cureAnyway = shadowCure(f, s.Rule)
			}
			anyway = append(anyway, ruleText(s.Rule))
			continue
		}
		if len(never) == 0 {
			cure = shadowCure(f, s.Rule)
		}
		if len(never) < mostShadowed {
			never = append(never, fmt.Sprintf("%s (by %s)", ruleText(s.Rule), ruleText(s.By)))
		}
	}
	if len(never) > 0 {
		return []Check{{ID: "rules-shadowed", Level: Warn, Details: never, Cure: cure,
			Found: "rules can never decide, since more specific ones come first: " + few(never)}}
	}
	c := Check{ID: "rules-shadowed", Level: OK, Found: "no rule hides another", Details: unlooked(f.Rules)}
	if len(anyway) > 0 {
		c.Level, c.Found, c.Cure = Note, fmt.Sprintf("rules without which all would be the same: %d: %s", len(anyway), few(anyway)), cureAnyway
		c.Details = append(slices.Clone(anyway[:min(len(anyway), mostShadowed)]), c.Details...)
	}
	return []Check{c}
}

// shadowCure takes a rule out: of what runs, or else by hand of the configuration.
func shadowCure(f *Facts, r ruleset.Rule) string {
	if f.Running == nil {
		return "take them out of the configuration, which tells their lines: domain-route apply --dry-run"
	}
	return "domain-route rule del " + ruleArgs(r)
}

// unlooked says what is not looked at: whether rules with conditions come before another one together.
func unlooked(rules *ruleset.Set) []string {
	n := 0
	for r := range rules.All() {
		if r.Condition != (ruleset.Condition{}) {
			n++
		}
	}
	if n < 2 {
		return nil
	}
	return []string{fmt.Sprintf("not looked at: what the %d rules with user= or cgroup= hide together, and not each by itself", n)}
}

// ruleText is a rule's pattern and condition.
func ruleText(r ruleset.Rule) string {
	return strings.TrimSpace(r.Pattern.String() + " " + r.Condition.String())
}

// ruleArgs are the words that name a rule on a command line.
func ruleArgs(r ruleset.Rule) string {
	text := quote(r.Pattern.String())
	if r.Condition.User {
		text += fmt.Sprintf(" user=%d", r.Condition.UID)
	}
	if r.Condition.Cgroup != "" {
		text += " cgroup=" + quote(r.Condition.Cgroup)
	}
	return text
}

func neverHit(f *Facts) []Check {
	if f.Running == nil || f.Rules == nil || f.Rules.Len() == 0 {
		return nil
	}
	hit := map[ruleset.Rule]bool{}
	for _, h := range f.Running.Hits {
		hit[h.Rule] = true
	}
	if len(hit) >= f.Rules.Len() {
		return one("rules-hit", OK, "every rule has decided a connection", "")
	}
	var not []string
	for r := range f.Rules.All() {
		if !hit[r] {
			not = append(not, ruleText(r))
		}
		if len(not) == mostShadowed {
			break
		}
	}
	return []Check{{ID: "rules-hit", Level: Note, Details: not, Found: fmt.Sprintf("%d of %d rules have decided no connection yet: %s", f.Rules.Len()-len(hit), f.Rules.Len(), few(not))}}
}

// trouble are the counters that tell of something wrong, and what is to be done about it.
var trouble = map[string]string{
	"bind_failed":      "connections were refused, since they could not be bound; see dmesg, and free memory",
	"no_interface":     "connections were refused while no interface of their target existed",
	"rebind_refused":   "sockets had other peers elsewhere, and were refused; restart their programs",
	"shared_socket":    "datagrams were refused, since their sockets have other peers; mark:N has no such limit",
	"straggler":        "datagrams of threads that share a socket were dropped",
	"learnt_lost":      "names were not kept for want of room; see map-fill",
	"asker_no_memory":  "questions were not noted for want of memory",
	"answer_cut_bytes": "answers longer than 4 KiB were not read to their end",
	"answer_malformed": "answers were broken, and taught nothing; see which name server it is",
	"libc_unreadable":  "calls of C libraries could not be read",
	"libc_cut":         "calls gave more than 64 addresses",
}

func counters(f *Facts) []Check {
	if f.Running == nil {
		return nil
	}
	values := map[string]uint64{}
	for _, c := range f.Running.Status.Counters {
		values[c.Name] = c.Value
	}
	var all []Check
	for _, name := range slices.Sorted(maps.Keys(trouble)) {
		if n := values[name]; n > 0 {
			all = append(all, Check{ID: "counters", Level: Note, Subject: name, Found: fmt.Sprintf("%d since start: %s", n, trouble[name])})
		}
	}
	if bad := values["answer_unasked"]; bad > 100 && bad*10 > values["answers"] {
		all = append(all, Check{ID: "counters", Level: Note, Subject: "answer_unasked", Found: fmt.Sprintf("%d beside %d good answers: somebody spoofs, or repeats", bad, values["answers"])})
	}
	if all == nil {
		return one("counters", OK, "none tells of trouble", "")
	}
	return all
}

func oldConnections(f *Facts) []Check {
	if f.Running == nil || !f.Home {
		return nil
	}
	switch n := len(f.Running.Old); {
	case f.Running.OldErr != nil:
		found, cure := split(f.Running.OldErr)
		return one("old-connections", Note, "cannot be looked at: "+found, cure)
	case n > 0:
		return []Check{{ID: "old-connections", Level: Note, Details: f.Running.Old, Cure: "domain-route reset",
			Found: fmt.Sprintf("%d are where they would not go now: %s", n, few(f.Running.Old))}}
	}
	return one("old-connections", OK, "all are where they would go now", "")
}
