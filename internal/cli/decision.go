package cli

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
)

type decisionRow struct {
	Address   netip.Addr      `json:"address"`
	Level     dataplane.Level `json:"level"`
	PID       uint32          `json:"pid"`
	UID       uint32          `json:"uid"`
	Gone      bool            `json:"gone"` // the process has ended; judged without its cgroup, which is not known
	Name      string          `json:"name"`
	Rule      string          `json:"rule"`
	Condition string          `json:"condition,omitempty"` // the rule's
	Target    string          `json:"target"`
	Interface string          `json:"interface"` // the first of the chain that exists now, or empty
	Ifindex   int             `json:"ifindex"`   // its index, or 0
	Verdict   string          `json:"verdict"`   // steered, direct, blocked, marked, no_interface
	Own       bool            `json:"own"`       // an address of this host: left alone whatever the rules, so direct
}

func (a *app) decision() *cobra.Command {
	return &cobra.Command{
		Use:   "decision",
		Short: "List what is decided for learnt addresses: address, interface index",
		Long: `Lists, for each learnt address that a rule is for, what a connection to it gets now. The rule is the name's; where
that has none, the address's, or the default. Each line has the address, the index of the interface (0 if it is not bound
to any), the verdict (steered, direct, blocked, marked, or no_interface: refused while none of the target's interfaces
exists), whom it counts for, the name and the rule. Connections to the host's own addresses are direct whatever the rules. A process that is gone is judged as if it had been in no cgroup: which
it was in is not known, and rules with cgroup= are left out. Without a terminal: separated by tabs, no heading.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			var rows []decisionRow
			err := withSystem(func(s *dataplane.System) error {
				if !s.AtHome() {
					return usageError{errors.New("interfaces mean something only in the network namespace that start ran in; run it there")}
				}
				standings, err := s.Standings()
				if err != nil {
					return err
				}
				rows, err = decisions(standings, newFinder())
				return err
			})
			if err != nil {
				return err
			}
			return a.print("DecisionList", map[string]any{"decisions": rows}, func() { a.printDecisions(rows) })
		},
	}
}

// decisions are those of the names that decide, by a rule of theirs or of their address.
func decisions(standings []dataplane.Standing, devices *finder) ([]decisionRow, error) {
	rows := []decisionRow{}
	for _, d := range standings {
		if d.Decides && (d.Ruled || d.Otherwise) {
			rows = append(rows, decide(d, devices.find))
		}
	}
	return rows, devices.err
}

// decide finds what a decision comes to with the interfaces there are now.
func decide(d dataplane.Standing, find dataplane.Finder) decisionRow {
	row := decisionRow{
		Address: d.Address, Level: d.Level, PID: d.PID, UID: d.UID, Gone: d.Gone, Name: nameText(d.Name),
		Rule: d.Pattern, Condition: d.Condition, Target: d.Target.String(),
	}
	place := dataplane.Resolve(d.Target, find)
	if d.Alone {
		row.Own, place = true, dataplane.Place{Outcome: dataplane.Untouched}
	}
	row.Interface, row.Ifindex, row.Verdict = place.Interface, place.Ifindex, string(place.Outcome)
	return row
}

func (a *app) printDecisions(rows []decisionRow) {
	var lines [][]string
	for _, r := range rows {
		who := whose(r.Level, r.PID, r.UID)
		if r.Gone {
			who += " gone"
		}
		verdict := r.Verdict
		if r.Own {
			verdict += " (own address)"
		}
		lines = append(lines, []string{
			r.Address.String(), fmt.Sprint(r.Ifindex), dash(r.Interface), verdict, who, dash(r.Name), withCondition(r.Rule, r.Condition),
		})
	}
	a.table([]string{"ADDRESS", "IFINDEX", "INTERFACE", "VERDICT", "COUNTS FOR", "NAME", "RULE"}, lines)
}
