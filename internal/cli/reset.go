package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
)

// resetList is what was closed, or would be.
type resetList struct {
	DryRun  bool       `json:"dry_run"`
	Sockets []resetRow `json:"sockets"`
}

type resetRow struct {
	Protocol  string          `json:"protocol"` // tcp, udp
	Local     netip.AddrPort  `json:"local"`
	Remote    netip.AddrPort  `json:"remote"`
	Names     []string        `json:"names"` // of the address, at the level that decides
	Rule      string          `json:"rule"`  // that decides now, or empty
	Level     dataplane.Level `json:"level"` // that decides now, or empty
	Now       resetPlace      `json:"now"`
	Then      resetPlace      `json:"then"`                // as connect would have it now
	Condition string          `json:"condition,omitempty"` // the rule's
	UID       uint32          `json:"uid"`
	User      string          `json:"user"` // or the number, where the user has no name
	Processes []resetProcess  `json:"processes"`

	socket netdev.Socket
}

type resetPlace struct {
	Verdict   string `json:"verdict"`   // steered, marked, direct, blocked, no_interface
	Interface string `json:"interface"` // empty where it is none, or gone
	Ifindex   int    `json:"ifindex"`
	Mark      uint32 `json:"mark"`
}

type resetProcess struct {
	PID  uint32 `json:"pid"`
	UID  uint32 `json:"uid"`
	Comm string `json:"comm"`
}

var errResetAway = usageError{errors.New("connections can only be closed in the network namespace that start ran in; run it there")}

func (a *app) reset() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "reset [PATTERN]",
		Short: "Close the connections that would now go elsewhere",
		Long: `Closes connected TCP and UDP sockets that would be elsewhere, or refused, if they connected now: programs see
ECONNABORTED and connect again. Listed for each: protocol, local and remote address, names, where it was, where it
would go, user, processes. All others stay, and so do those that their programs bound or marked themselves, those that
others opened to this host, and those whose program has closed them and left the rest to the kernel.

With a pattern: only those to addresses that have a name which it matches. A socket of several processes is closed if
all of them would connect elsewhere. A name that is forgotten, an hour past its TTL, is none: without a pattern, what
was steered by it is closed. Without a terminal: separated by tabs, no heading.`,
		Example:           "  domain-route reset --dry-run\n  domain-route reset example.com",
		Args:              args(0, 1),
		ValidArgsFunction: completePatterns,
		RunE: func(_ *cobra.Command, given []string) error {
			limit := pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}
			if len(given) == 1 {
				var err error
				if limit, err = pattern.Parse(given[0]); err != nil {
					return err
				}
			}
			return withSystem(func(s *dataplane.System) error {
				if !s.AtHome() {
					return errResetAway
				}
				list, failed := resetNow(s, limit, dry)
				if list == nil {
					return failed
				}
				return cmp.Or(a.print("ResetList", list, func() { a.printReset(list, failed) }), failed)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only list them")
	return cmd
}

// resetNow closes what the rules in force have elsewhere. What was closed before a failure is returned with it.
func resetNow(s *dataplane.System, limit pattern.Pattern, dry bool) (*resetList, error) {
	rows, err := misplaced(s, s.Judge, limit)
	if err != nil {
		return nil, err
	}
	if dry {
		return &resetList{DryRun: true, Sockets: rows}, nil
	}
	closed, missed, err := closeAll(rows, (*netdev.Socket).Destroy)
	if err == nil && len(missed) > 0 {
		err = stillOpen(s, missed)
	}
	return &resetList{Sockets: closed}, err
}

// closeAll closes what the kernel finds. Of two datagram sockets with the same addresses it finds one: the other is
// found once that is closed, if it is to be closed, too.
func closeAll(rows []resetRow, destroy func(*netdev.Socket) (bool, error)) (closed, missed []resetRow, err error) {
	closed = []resetRow{}
	for left := rows; len(left) > 0; left = missed {
		missed = nil
		for _, r := range left {
			done, err := destroy(&r.socket)
			if err != nil {
				return closed, nil, resetError(err)
			}
			if done {
				closed = append(closed, r)
			} else {
				missed = append(missed, r)
			}
		}
		if len(missed) == len(left) {
			break
		}
	}
	return closed, missed, nil
}

// stillOpen is the error for sockets that are open and that the kernel does not find by their addresses.
func stillOpen(s *dataplane.System, missed []resetRow) error {
	open, err := netdev.Sockets(s.SocketStorage())
	if err != nil {
		return resetError(err)
	}
	return overshadowed(missed, open)
}

// overshadowed is the error for the first of those that is among the open ones.
func overshadowed(missed []resetRow, open []netdev.Socket) error {
	for _, m := range missed {
		if slices.ContainsFunc(open, func(k netdev.Socket) bool { return m.socket.Same(&k) }) {
			return &dataplane.CureError{
				Err: fmt.Errorf("%w: %s %v to %v has the same addresses as another socket that stays: it cannot be closed",
					dataplane.ErrRefused, m.Protocol, m.Local, m.Remote),
				Cure: "restart its program, listed by `domain-route reset --dry-run`",
			}
		}
	}
	return nil
}

// resetError names the cure.
func resetError(err error) error {
	switch {
	case errors.Is(err, netdev.ErrNoDestroy):
		return &dataplane.CureError{Err: fmt.Errorf("%w: %w", dataplane.ErrRefused, err),
			Cure: "restart the programs listed by `domain-route reset --dry-run`, or boot a kernel with CONFIG_INET_DIAG_DESTROY"}
	case errors.Is(err, netdev.ErrNoDiag):
		return &dataplane.CureError{Err: fmt.Errorf("%w: %w", dataplane.ErrRefused, err),
			Cure: "load its modules: modprobe -a tcp_diag udp_diag"}
	}
	return err
}

// printReset prints a list, which is all there is unless it failed; nil is none.
func (a *app) printReset(list *resetList, failed error) {
	if list == nil {
		return
	}
	var lines [][]string
	for _, r := range list.Sockets {
		names, holders := strings.Join(r.Names, " "), []string{}
		for _, p := range r.Processes {
			holders = append(holders, fmt.Sprintf("%d (%s)", p.PID, p.Comm))
		}
		lines = append(lines, []string{r.Protocol, r.Local.String(), r.Remote.String(), dash(names), r.Now.String(),
			r.Then.String(), r.User, dash(strings.Join(holders, ", "))})
	}
	if len(lines) == 0 {
		if failed == nil {
			a.warn("nothing to close")
		}
		return
	}
	a.table([]string{"PROTOCOL", "LOCAL", "REMOTE", "NAMES", "NOW", "THEN", "USER", "PROCESSES"}, lines)
}

func (p resetPlace) String() string {
	switch {
	case p.Verdict == string(dataplane.Marked):
		return fmt.Sprintf("mark:0x%x", p.Mark)
	case p.Verdict != string(dataplane.Steered):
		return p.Verdict
	case p.Interface == "":
		return fmt.Sprintf("%d (gone)", p.Ifindex)
	}
	return p.Interface
}

// userName is a user's name, or the number.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	u, err := user.LookupId(number)
	if err != nil {
		return number
	}
	return printable(u.Username)
}
