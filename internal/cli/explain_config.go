package cli

import (
	"fmt"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// places fills in the rules, with where they stand in the configuration. That it cannot be read is told, and no failure.
func (e *explainer) places() {
	places, err := e.where()
	if err != nil {
		e.result.unread = true
		e.note("the configuration cannot be read: %v", err)
	}
	for _, w := range e.ways {
		row := explainRule{
			Pattern: w.Pattern.String(), Condition: w.Condition.String(), Target: w.Target.String(),
			Holds: w.Holds(), Unmet: unmet(w.Candidate, e.result.For), Decides: w.decides, Reason: e.reason(w),
		}
		if at, ok := places[ruleio.Asked{Pattern: w.Pattern, Condition: w.Condition}]; ok {
			row.Place = at.String()
			if at.Target != w.Target {
				row.Configured = at.Target.String()
			}
		}
		e.result.Rules = append(e.result.Rules, row)
	}
}

// where looks for the rules in the configuration and its lists.
func (e *explainer) where() (map[ruleio.Asked]ruleio.Where, error) {
	c, err := e.configuration()
	if err != nil {
		return nil, err
	}
	files, err := c.files()
	if err != nil || len(files) == 0 || len(e.ways) == 0 {
		return nil, err
	}
	in := newTrustedInputs()
	config, err := readConfig(in, files, nil)
	if err != nil {
		return nil, err
	}
	var asked []ruleio.Asked
	for _, w := range e.ways {
		asked = append(asked, ruleio.Asked{Pattern: w.Pattern, Condition: w.Condition})
	}
	return config.Where(loadOptions{}.with(in), asked)
}

// reason is why the rule that decides comes before another one that is for the same, or that another name decides.
func (e *explainer) reason(other way) string {
	if other.decides {
		return ""
	}
	named := other.Pattern.Kind != pattern.Prefix && other.Pattern.Kind != pattern.Default
	for _, w := range e.ways {
		if named && e.subject.name != "" && w.decides && !w.Pattern.Matches(e.subject.name) {
			return otherName
		}
		if why := ruleset.Precedence(w.Rule, other.Rule); w.decides && why != ruleset.NoOrder {
			return string(why)
		}
	}
	return ""
}

// unmet says in words which parts of a condition do not hold.
func unmet(c ruleset.Candidate, who explainFor) []string {
	all := []string{}
	if c.Unmet&ruleset.UnmetUser != 0 {
		all = append(all, fmt.Sprintf("it is for user %s", userText(c.Condition.UID, userName(c.Condition.UID))))
	}
	switch {
	case c.Unmet&ruleset.UnmetCgroup == 0:
	case who.PID == 0:
		all = append(all, "it is for processes in that cgroup: ask with --process")
	case who.Cgroup == "":
		all = append(all, "the process's cgroup cannot be told")
	default:
		all = append(all, fmt.Sprintf("the process is in %s", who.Cgroup))
	}
	return all
}

func userText(uid uint32, name string) string {
	if name == "" || name == fmt.Sprint(uid) {
		return fmt.Sprint(uid)
	}
	return fmt.Sprintf("%d (%s)", uid, name)
}

// notStarted explains what the configuration's rules would do.
func (e *explainer) notStarted() {
	r := e.result
	r.Verdict = explainPlace{Verdict: "off"}
	r.Answer = r.Subject + " -> not steered: domain-route is not started"
	l, err := e.loadConfig(loadOptions{quiet: true})
	if err != nil {
		e.note("the configuration cannot be read: %v", err)
		return
	}
	who := ruleset.Who{UID: r.For.UID}
	e.offCandidates(l.Rules, who)
	e.places()
	switch i := slices.IndexFunc(r.Rules, func(w explainRule) bool { return w.Decides }); {
	case len(l.files) == 0:
		e.note("there is no configuration; start, and add a rule: domain-route start && domain-route rule add %s INTERFACE", r.Subject)
	case i < 0:
		e.note("no rule of the configuration would be for it once it is started: domain-route start")
	default:
		e.note("once it is started (domain-route start), this rule of the configuration is for it")
	}
}

// offCandidates are the rules that would be for what was asked.
func (e *explainer) offCandidates(set *ruleset.Set, who ruleset.Who) {
	var all []ruleset.Candidate
	if e.subject.name != "" {
		all = set.Candidates(e.subject.name, who)
	} else {
		all = set.CandidatesAddr(e.subject.addr, who)
	}
	if e.subject.name != "" || !e.subject.addr.IsPrivate() {
		all = append(all, set.CandidatesDefault(who)...)
	}
	decided := false
	for _, c := range all {
		e.ways = append(e.ways, way{c, c.Holds() && !decided})
		decided = decided || c.Holds()
	}
}
