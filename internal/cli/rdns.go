package cli

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

type learntRow struct {
	Address  netip.Addr      `json:"address"`
	Name     string          `json:"name"` // empty: it was evicted, its address was not
	Level    dataplane.Level `json:"level"`
	PID      uint32          `json:"pid"`
	UID      uint32          `json:"uid"`
	TTL      int             `json:"ttl"` // seconds; negative once it is over
	Rule     string          `json:"rule,omitempty"`
	Target   string          `json:"target,omitempty"`
	Decides  bool            `json:"decides"`  // the name that counts at its level
	Conflict bool            `json:"conflict"` // the live names at its level have different targets

	Condition string `json:"condition,omitempty"` // the rule's
}

func (a *app) rdns() *cobra.Command {
	return &cobra.Command{
		Use:   "rdns [NAME|ADDRESS|PREFIX]",
		Short: "List the learnt names: address, name, who learnt it, seconds left, rule, and which decides; exit 1 if there is none of the name",
		Long: `Lists which address was learnt to belong to which name, by whom (a process, a user, or the host's services),
how many seconds of its TTL are left (negative once it is over: the name still counts for an hour), and the
rule that matches the name; of all, or of a name (a pattern as in rules: example.com is it and its subdomains), an
address or a prefix. A process may be gone by now; host means that root or a service asked, which counts
for all. Connect asks the process, its user, then the host; the first that has a name decides. The last column says
which of the names there it is (one with a rule beats one without, then the latest wins), and "conflict" where they
would lead to different places. Without a terminal: separated by tabs, no heading.`,
		Args:              args(0, 1),
		ValidArgsFunction: completePatterns,
		RunE: func(_ *cobra.Command, given []string) error {
			wanted := func(dataplane.Learnt) bool { return true }
			if len(given) == 1 {
				about, err := hostOfURL(given[0])
				if err == nil {
					wanted, err = matching(about)
				}
				if err != nil {
					return err
				}
			}
			standings, err := standings()
			if err != nil {
				return err
			}
			rows := learntRows(standings, wanted)
			err = a.print("LearntList", map[string]any{"names": rows}, func() { a.printLearnt(rows) })
			if err == nil && len(rows) == 0 && len(given) == 1 {
				a.warn("nothing is learnt of %s", given[0])
				return errNo
			}
			if len(rows) == 0 && a.output != "json" {
				a.warn("nothing is learnt yet")
			}
			return err
		},
	}
}

// hostOfURL takes the host out of a URL, and leaves other text as it is.
func hostOfURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		return text, nil
	}
	s := subject{given: text}
	host, err := s.host()
	if err != nil {
		return "", usageError{err}
	}
	return host, nil
}

// standings reads the learnt names. They are printed without the lock: who reads may take his time.
func standings() (all []dataplane.Standing, err error) {
	err = withSystem(func(s *dataplane.System) error {
		all, err = s.Standings()
		return err
	})
	return all, err
}

func learntRows(standings []dataplane.Standing, wanted func(dataplane.Learnt) bool) []learntRow {
	rows := []learntRow{}
	for _, l := range standings {
		if !wanted(l.Learnt) {
			continue
		}
		row := learntRow{
			Address: l.Address, Level: l.Level, PID: l.PID, UID: l.UID, TTL: int(l.TTL / time.Second),
			Name: nameText(l.Name), Rule: l.Pattern, Condition: l.Condition, Decides: l.Decides, Conflict: l.Conflict,
		}
		if l.Otherwise { // that rule is none of the name's
			row.Rule, row.Condition = "", ""
		}
		if l.Ruled {
			row.Target = l.Target.String()
		}
		rows = append(rows, row)
	}
	return rows
}

// withCondition is a rule's pattern with its condition, if it has one.
func withCondition(pattern, condition string) string {
	return strings.TrimSuffix(dash(pattern)+" "+condition, " ")
}

// nameText is a name as it is shown; empty if its text was evicted.
func nameText(n pattern.Name) string {
	if n == "" {
		return ""
	}
	return n.String()
}

func (a *app) printLearnt(rows []learntRow) {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{r.Address.String(), dash(r.Name), whose(r.Level, r.PID, r.UID), fmt.Sprint(r.TTL), withCondition(r.Rule, r.Condition), r.standing()})
	}
	a.table([]string{"ADDRESS", "NAME", "LEARNT BY", "TTL", "RULE", "DECIDES"}, lines)
}

// standing says in a word or two whether the name counts at its level.
func (r learntRow) standing() string {
	word := "-"
	if r.Decides {
		word = "decides"
	}
	if r.Conflict {
		word += ", conflict"
	}
	return strings.TrimPrefix(word, "-, ")
}

// whose says in words whom a name counts for.
func whose(level dataplane.Level, pid, uid uint32) string {
	switch level {
	case dataplane.LevelProcess:
		return fmt.Sprintf("pid %d (uid %d)", pid, uid)
	case dataplane.LevelUser:
		return fmt.Sprintf("uid %d", uid)
	default:
		return "host"
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
