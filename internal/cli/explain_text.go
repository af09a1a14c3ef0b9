package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// The width of the text, and where what is said of a label begins.
const (
	explainWidth  = 80
	explainIndent = 11
)

// explainPage is the text under way: paragraphs behind labels, wrapped. What comes from outside is made printable by line.
type explainPage struct{ strings.Builder }

// say adds a paragraph: the first line of a label's has it, the others are indented, and so much deeper.
func (p *explainPage) say(label string, deeper int, format string, args ...any) {
	indent := explainIndent + 2*deeper
	line := fmt.Sprintf("%-*s", indent, label)
	width := utf8.RuneCountInString(line)
	empty := true
	for _, word := range strings.Fields(printable(fmt.Sprintf(format, args...))) {
		long := utf8.RuneCountInString(word)
		if !empty && width+1+long > explainWidth {
			p.WriteString(line + "\n")
			line, width, empty = strings.Repeat(" ", indent+2), indent+2, true
		}
		if !empty {
			line += " "
			width++
		}
		line, width, empty = line+word, width+long, false
	}
	p.WriteString(line + "\n")
}

// text is what is printed.
func (r *explainResult) text() string {
	p := &explainPage{}
	p.WriteString(printable(r.Answer) + "\n")
	if r.Unasked != "" {
		p.WriteString(printable(r.Unasked) + "\n")
	}
	if len(r.Disagreements) > 0 {
		p.WriteString("\n")
		for _, d := range r.Disagreements {
			p.say("DISAGREE", 0, "%s", d)
		}
		p.say("", 0, "%s", cureDisagreement)
	}
	p.WriteString("\n")
	r.sayFor(p)
	r.sayRules(p)
	r.sayAddresses(p)
	r.sayInterfaces(p)
	if r.Started && len(r.Disagreements) == 0 {
		p.say("kernel", 0, "agrees: the maps of generation %d come to the same", r.Generation)
	}
	r.sayLeak(p)
	label := "note"
	for _, n := range r.Notes {
		p.say(label, 0, "%s", n)
		label = ""
	}
	return p.String()
}

func (r *explainResult) sayFor(p *explainPage) {
	if r.Kind == "name" && !strings.EqualFold(strings.TrimSuffix(r.Given, "."), r.Subject) && !strings.Contains(r.Given, "/") {
		p.say("name", 0, "%s is %s in DNS", r.Given, r.Subject)
	}
	if r.Port != "" {
		p.say("port", 0, "%s is not looked at: rules are for all ports", r.Port)
	}
	who := r.For
	switch {
	case who.PID != 0:
		p.say("for", 0, "process %d (%s) of user %s", who.PID, who.Comm, userText(who.UID, who.User))
		if who.Cgroup != "" {
			p.say("", 1, "in cgroup %s", who.Cgroup)
		}
		if why := r.unseen(); why != "" {
			p.say("", 1, "%s: nothing is done with its connections", why)
		}
	case r.Asks && who.Default:
		p.say("for", 0, "a program of user %s that asks for it; others: --user USER, --process PID", userText(who.UID, who.User))
	case r.Asks:
		p.say("for", 0, "a program of user %s that asks for it", userText(who.UID, who.User))
	case who.Default:
		p.say("for", 0, "user %s, who asks; others: --user USER, --process PID", userText(who.UID, who.User))
	default:
		p.say("for", 0, "user %s, no process in particular", userText(who.UID, who.User))
	}
	if who.Within != "" {
		p.say("", 1, "only in cgroup %s", who.Within)
	}
	if who.PID == 0 && r.unseen() != "" {
		p.say("", 1, "%s", r.unseen())
	}
}

// mostRunnersUp is how many rules are told beside those that decide.
const mostRunnersUp = 5

func (r *explainResult) sayRules(p *explainPage) {
	label, decided := "rule", 0
	for _, w := range r.Rules {
		if w.Decides {
			p.say(label, 0, "%s -> %s", strings.TrimSuffix(w.Pattern+" "+w.Condition, " "), w.Target)
			p.say("", 1, "%s", r.origin(w))
			label = ""
			decided++
		}
	}
	if decided == 0 {
		r.sayNoRule(p)
	}
	if decided == 0 && r.leftAlone() {
		return
	}
	told := 0
	for _, w := range r.Rules {
		if w.Decides {
			continue
		}
		told++
		if told > mostRunnersUp {
			continue
		}
		text := strings.TrimSuffix(w.Pattern+" "+w.Condition, " ") + " -> " + w.Target
		switch {
		case !w.Holds:
			p.say("", 1, "not %s: %s%s", text, strings.Join(w.Unmet, "; "), r.short(w))
		case w.Reason == otherName:
			p.say("", 1, "not %s: %s%s", text, w.Reason, r.short(w))
		case w.Reason != "":
			p.say("", 1, "before %s: %s%s", text, w.Reason, r.short(w))
		case w.Pattern == "default":
			p.say("", 1, "not %s: it is not for private addresses%s", text, r.short(w))
		default:
			p.say("", 1, "not %s: no address was learnt by a name that it is for%s", text, r.short(w))
		}
	}
	if told > mostRunnersUp {
		p.say("", 1, "and %d more: -o json", told-mostRunnersUp)
	}
}

// sayNoRule says why no rule decides.
func (r *explainResult) sayNoRule(p *explainPage) {
	for _, a := range r.counting() {
		if a.By == dataplane.ByName && a.Rule == "" {
			p.say("rule", 0, "that of a name whose text was evicted -> %s", a.Target)
			return
		}
	}
	switch {
	case r.leftAlone():
		p.say("rule", 0, "none counts: it is left alone whatever the rules")
	default:
		p.say("rule", 0, "none is for it")
	}
}

// leftAlone tells whether rules do not matter.
func (r *explainResult) leftAlone() bool {
	return r.unseen() != "" || len(r.counting()) > 0 && r.counting()[0].Alone != ""
}

// otherName is why a rule of the name asked about does not decide, although it holds.
const otherName = "another name that the address has decides"

// origin says where a rule comes from.
func (r *explainResult) origin(w explainRule) string {
	switch {
	case w.Place == "" && r.unread:
		return "where from is not known"
	case w.Place == "":
		return "added by command, not in the configuration"
	case w.Configured != "":
		return fmt.Sprintf("added by command; the configuration has -> %s at %s", w.Configured, w.Place)
	}
	return w.Place
}

// short is the origin of a rule that does not decide.
func (r *explainResult) short(w explainRule) string {
	if w.Place == "" {
		return ""
	}
	return " (" + w.Place + ")"
}

func (r *explainResult) sayLeak(p *explainPage) {
	if l := r.Leak; l != nil {
		p.say("leak", 0, "process %d (%s) of user %d connected to %s port %d for %s %s ago, and was not steered", l.PID, l.Comm, l.UID, l.Address, l.Port,
			l.Name, ago(time.Since(l.When)))
	}
}

// ago is a length of time in one number.
func ago(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
