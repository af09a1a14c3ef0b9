package top

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// row is a line of a pane. Its texts are safe to print.
type row struct {
	id      string
	cells   []string
	spark   []float64 // drawn where the column is
	tone    tone
	subject Subject // what explain is asked; its Arg empty: nothing
}

// tone is how a line looks.
type tone int

const (
	plain tone = iota
	good
	bad
	notable
	quiet
)

// sparkColumn is where the rules' sparkline is.
const sparkColumn = 4

// layouts are the panes' columns.
var layouts = [panes][]column{
	paneRules: {
		{heading: "RULE", least: 18, most: 60, end: true}, {heading: "TARGET", least: 8, most: 24}, {heading: "CONN/S", least: 7, most: 7, right: true},
		{heading: "TOTAL", least: 8, most: 10, right: true, extra: 1}, {heading: "LAST SECONDS", least: 12, most: 60, extra: 2},
	},
	paneInterfaces: {
		{heading: "INTERFACE", least: 9, most: 15}, {heading: "STATE", least: 18, most: 40}, {heading: "ADDRESS", least: 15, most: 42, extra: 2},
		{heading: "RULES", least: 7, most: 9, right: true, extra: 1}, {heading: "CONN/S", least: 7, most: 7, right: true},
	},
	paneEvents: {
		{heading: "EVENT", least: 8, most: 8}, {heading: "KIND", least: 7, most: 7}, {heading: "PROCESS", least: 12, most: 22, extra: 2},
		{heading: "USER", least: 8, most: 10, extra: 4}, {heading: "NAME", least: 15, most: 48, end: true}, {heading: "ADDRESS", least: 17, most: 45, extra: 3, port: true},
		{heading: "WHERE", least: 14, most: 28},
	},
	paneNames: {
		{heading: "NAME", least: 18, most: 60, end: true}, {heading: "ADDRESS", least: 15, most: 39, extra: 1}, {heading: "LEARNT BY", least: 12, most: 24, extra: 3},
		{heading: "LEFT", least: 7, most: 8, right: true, extra: 4}, {heading: "TARGET", least: 8, most: 24}, {heading: "", least: 8, most: 8, extra: 2},
	},
	paneLeaks: {
		{heading: "LEAK", least: 8, most: 8}, {heading: "NAME", least: 18, most: 60, end: true}, {heading: "ADDRESS", least: 17, most: 45, extra: 1, port: true},
		{heading: "PROCESS", least: 12, most: 22, extra: 2}, {heading: "RULE", least: 12, most: 40, end: true, extra: 3},
	},
}

// orders are what the panes can be sorted by.
var orders = [panes][]string{
	paneRules:      {"conn/s", "total", "rule"},
	paneInterfaces: {"name", "conn/s"},
	paneEvents:     {"newest", "oldest"},
	paneNames:      {"conflicts", "name", "left"},
	paneLeaks:      {"newest", "name"},
}

func (m *Model) order(p int) string { return orders[p][m.views[p].sort] }

func (m *Model) ruleRows() []row {
	hits := slices.Clone(m.snap.Hits)
	order := m.order(paneRules)
	text := make(map[key]string, len(hits))
	for _, h := range hits {
		text[keyOf(h.Rule)] = strings.TrimSpace(h.Rule.Pattern.String() + " " + h.Rule.Condition.String())
	}
	slices.SortFunc(hits, func(a, b dataplane.Hit) int {
		byRate := cmp.Compare(m.rates.rule(b).smooth(), m.rates.rule(a).smooth())
		byTotal := cmp.Compare(b.Count, a.Count)
		byText := cmp.Compare(text[keyOf(a.Rule)], text[keyOf(b.Rule)])
		switch order {
		case "total":
			return cmp.Or(byTotal, byText)
		case "rule":
			return byText
		}
		return cmp.Or(byRate, byTotal, byText)
	})
	rows := make([]row, 0, len(hits))
	for _, h := range hits {
		s := m.rates.rule(h)
		t := quiet
		if s.now() > 0 {
			t = plain
		}
		rule := m.o.Printable(text[keyOf(h.Rule)])
		rows = append(rows, row{
			id: rule, tone: t, spark: s.rates, subject: subjectOfRule(h.Rule),
			cells: []string{rule, m.o.Printable(h.Rule.Target.String()), rate(s.now()), strconv.FormatUint(h.Count, 10), ""},
		})
	}
	return rows
}

// smooth is the rate of the last seconds, by which lines are sorted: by that of the last alone they would dance.
func (s *series) smooth() float64 {
	last := s.rates[max(len(s.rates)-10, 0):]
	sum := 0.0
	for _, r := range last {
		sum += r
	}
	return sum
}

// rate is a rate in few characters.
func rate(r float64) string {
	switch {
	case r == 0:
		return "-"
	case r < 100:
		return fmt.Sprintf("%.1f", r)
	case r < 1e6:
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.1fM", r/1e6)
}

// subjectOfRule is what explain can say most of by a rule: a name that it matches, or an address.
func subjectOfRule(r ruleset.Rule) Subject {
	switch {
	case r.Pattern.Kind == pattern.Default:
		return Subject{}
	case r.Pattern.Kind == pattern.Prefix:
		return Subject{Arg: r.Pattern.Prefix.Addr().String(), UID: r.Condition.UID}
	case r.Pattern.Name == "":
		return Subject{}
	}
	name := r.Pattern.Name.String()
	if r.Pattern.Kind == pattern.Subdomains {
		name = "www." + name
	}
	return Subject{Arg: name, UID: r.Condition.UID}
}

func (m *Model) interfaceRows() []row {
	exists := map[string]bool{}
	for _, f := range m.snap.Interfaces {
		exists[f.Name] = f.Exists
	}
	by := map[string]float64{}
	for _, h := range m.snap.Hits {
		for _, name := range h.Rule.Target.Chain() {
			if exists[name] {
				by[name] += m.rates.rule(h).now()
				break
			}
		}
	}
	all := slices.Clone(m.snap.Interfaces)
	slices.SortFunc(all, func(a, b Interface) int {
		if m.order(paneInterfaces) == "conn/s" && by[a.Name] != by[b.Name] {
			return cmp.Compare(by[b.Name], by[a.Name])
		}
		return cmp.Compare(a.Name, b.Name)
	})
	rows := make([]row, 0, len(all))
	for _, f := range all {
		state, t := interfaceState(f)
		var addresses []string
		for _, p := range slices.Concat(f.Addrs4, f.Addrs6) {
			addresses = append(addresses, p.Addr().String())
		}
		rows = append(rows, row{
			id: f.Name, tone: t,
			cells: []string{m.o.Printable(f.Name), state, dash(strings.Join(addresses, " ")), strconv.Itoa(f.Rules), rate(by[f.Name])},
		})
	}
	return rows
}

// interfaceState says in few words what is, and what is missing.
func interfaceState(f Interface) (string, tone) {
	switch {
	case !f.Exists:
		return "does not exist", bad
	case !f.Up:
		return "down", bad
	case !f.Carrier:
		return "up, no link", bad
	}
	var wants []string
	switch {
	case !f.Routed4 && !f.Routed6:
		wants = append(wants, "no default route")
	case !f.Routed4 && len(f.Addrs4) > 0:
		wants = append(wants, "no IPv4 route")
	case !f.Routed6 && len(f.Addrs6) > 0:
		wants = append(wants, "no IPv6 route")
	}
	if f.RPFilter == 1 && !f.Main4 {
		wants = append(wants, "rp_filter 1")
	}
	if len(wants) > 0 {
		return "up, " + strings.Join(wants, ", "), notable
	}
	return "up", good
}

func (m *Model) eventRows() []row {
	last := m.events.Last
	rows := make([]row, 0, len(last))
	for i := range last {
		rows = append(rows, m.eventRow(&last[i]))
	}
	if m.order(paneEvents) == "newest" {
		slices.Reverse(rows)
	}
	return rows
}

var tones = map[dataplane.EventKind]tone{
	dataplane.EventLearnt: quiet, dataplane.EventSteered: good, dataplane.EventMarked: good, dataplane.EventBlocked: notable,
	dataplane.EventRefused: bad, dataplane.EventFailed: bad, dataplane.EventLeak: bad,
}

func (m *Model) eventRow(e *dataplane.Event) row {
	name := nameText(e.Name)
	address := dash(addrText(e.Address))
	if e.Port != 0 {
		address = netip.AddrPortFrom(e.Address, e.Port).String()
	}
	user := "-"
	if e.PID != 0 {
		user = m.o.User(e.UID)
	}
	r := row{
		tone: tones[e.Kind], subject: Subject{Arg: cmp.Or(name, addrText(e.Address)), PID: e.PID, UID: e.UID},
		cells: []string{e.Time.Format(time.TimeOnly), string(e.Kind), process(e.Comm, e.PID), user, dash(name), address, where(e)},
	}
	for i, c := range r.cells {
		r.cells[i] = m.o.Printable(c)
	}
	r.id = fmt.Sprint(e.Time.UnixNano(), r.cells)
	return r
}

func process(comm string, pid uint32) string {
	if pid == 0 {
		return "-"
	}
	return fmt.Sprintf("%s/%d", dash(comm), pid)
}

// where is where a connection went, and why not where that is not plain.
func where(e *dataplane.Event) string {
	switch {
	case e.Interface != "":
		return e.Interface
	case e.Kind == dataplane.EventMarked:
		return fmt.Sprintf("mark:0x%x", e.Mark)
	case e.Kind == dataplane.EventLearnt:
		at := "no rule"
		if e.Ruled {
			at = e.Rule.Target.String()
		}
		if e.Observer != "" { // two may see the same answer
			at += ", " + e.Observer
		}
		return at
	case e.Kind == dataplane.EventBlocked, e.Kind == dataplane.EventDirect:
		return "-"
	}
	return dash(e.Why)
}

func (m *Model) nameRows() []row {
	all := slices.Clone(m.snap.Names)
	order := m.order(paneNames)
	slices.SortStableFunc(all, func(a, b dataplane.Standing) int {
		first := 0
		switch {
		case order == "left":
			first = cmp.Compare(a.TTL, b.TTL)
		case order == "name":
		case a.Conflict != b.Conflict && a.Conflict:
			return -1
		case a.Conflict != b.Conflict:
			return 1
		default:
			first = a.Address.Compare(b.Address)
		}
		if first != 0 { // texts cost most, and there may be many thousand names
			return first
		}
		return cmp.Compare(nameText(a.Name), nameText(b.Name))
	})
	rows := make([]row, 0, len(all))
	for i := range all {
		rows = append(rows, m.nameRow(&all[i]))
	}
	return rows
}

func (m *Model) nameRow(n *dataplane.Standing) row {
	by, target, word, t := "host", "-", "", plain
	switch n.Level {
	case dataplane.LevelProcess:
		by = fmt.Sprintf("%s pid %d", m.o.User(n.UID), n.PID)
	case dataplane.LevelUser:
		by = m.o.User(n.UID)
	}
	if n.Ruled || n.Otherwise {
		target = n.Target.String()
	}
	switch {
	case n.Conflict:
		word, t = "conflict", notable
	case n.Decides:
		word = "decides"
	case !n.Ruled:
		t = quiet
	}
	name := nameText(n.Name)
	cells := []string{dash(name), addrText(n.Address), by, left(n.TTL), target, word}
	for i, c := range cells {
		cells[i] = m.o.Printable(c)
	}
	return row{
		id: strings.Join([]string{cells[0], cells[1], by}, " "), cells: cells, tone: t,
		subject: Subject{Arg: cmp.Or(name, addrText(n.Address)), PID: n.PID, UID: n.UID},
	}
}

// left is how long an answer is good for; names stay known beyond it.
func left(ttl time.Duration) string {
	if ttl < 0 {
		return "past"
	}
	return fmt.Sprintf("%d s", ttl/time.Second)
}

func (m *Model) leakRows() []row {
	all := slices.Clone(m.snap.Leaks)
	if m.order(paneLeaks) == "name" {
		slices.SortStableFunc(all, func(a, b dataplane.Leak) int { return cmp.Compare(nameText(a.Name), nameText(b.Name)) })
	}
	rows := make([]row, 0, len(all))
	for _, l := range all {
		rule := "-"
		if l.Ruled {
			rule = l.Rule.Pattern.String() + " " + l.Rule.Target.String()
		}
		name := nameText(l.Name)
		cells := []string{l.When.Format(time.TimeOnly), dash(name), netip.AddrPortFrom(l.Address, l.Port).String(), process(l.Comm, l.PID), rule}
		for i, c := range cells {
			cells[i] = m.o.Printable(c)
		}
		rows = append(rows, row{
			id: fmt.Sprint(l.When.UnixNano(), cells), cells: cells, tone: bad,
			subject: Subject{Arg: cmp.Or(name, addrText(l.Address)), PID: l.PID, UID: l.UID},
		})
	}
	return rows
}

func nameText(n pattern.Name) string {
	if n == "" {
		return ""
	}
	return n.String()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
