package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/procs"
)

func (a *app) explain() *cobra.Command {
	var pid uint32
	var user string
	cmd := &cobra.Command{
		Use:   "explain NAME|ADDRESS|URL",
		Short: "Tell where connections to a name go, and why; exit 1 if they are not steered",
		Long: `Tells first, in one line, where a connection to a name or an address goes now, and then why: for whom; the rule, with the
line of the configuration that it is from, and why it comes before others; the addresses that were learnt, by whom, how long
ago and for how long they count, and other names that they have; the interface and the route by it; and whether the audit saw
connections to the name that were not steered.

It is told for a process (--process), a user (--user), or by default for the user who asks: who asked for a name decides, and
rules may have conditions. Of a URL the host counts; ports and paths are nothing to rules. A name stands for the addresses
that were learnt for it; where these go different ways, the answer tells how many and which.

Of a name without --process, the answer is for a program of the user that has just asked for it: that name decides for this
program, whatever other names its addresses have. A program may connect without asking (by a cache of its own, curl --resolve):
if it gets something else, a second line tells that. With --process, what that process asked counts, and if it did not ask, what
its user and the host did; so it is of an address.

Two opinions are asked: the rules, and the maps that the programs in the kernel work with, read by other code. Should they
differ, the answer is the kernel's, since that is where packets go, the difference is told first, and the exit code is 1.

Exit codes: 0 connections are bound to the interface of the rule, or marked, whether there is a route by it (told in the first
line) or not, and whether answers come or not (rp_filter, likewise); if nothing was learnt yet, they will be. 1 they are not, or not all: direct, blocked, refused for want of an interface, left alone, or nothing is started. With -o json all that is
known is printed: answer, steered, verdict, asks (it is for a program that has just asked for the name), unasked (what others
get; empty: the same; in addresses: with its verdict, or null), for, rules (in order of precedence), addresses, elsewhere (learnt
by those whose word does not count here), interfaces, leak, disagreements, notes.

It is told of new connections. Those that are open stay where they are (domain-route reset). A socket that its program binds
to an interface, or marks, itself is left alone, and an unconnected UDP socket stays with the first interface it was bound to.`,
		Example: "  domain-route explain example.com\n  domain-route explain https://example.com/page --process 4711\n" +
			"  domain-route explain 198.51.100.7 --user www-data",
		Args:              whichName,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, given []string) error {
			s, err := parseSubject(given[0])
			if err != nil {
				return err
			}
			who, err := whoAsked(cmd.Flags().Changed("process"), pid, cmd.Flags().Changed("user"), user)
			if err != nil {
				return err
			}
			r, err := a.explained(s, who)
			if err != nil {
				return err
			}
			if err := a.print("Explanation", r, func() { fmt.Fprint(a.Stdout, r.text()) }); err != nil {
				return err
			}
			if !r.Steered {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().Uint32Var(&pid, "process", 0, "for this process: its user, cgroup, and what it and its parents asked; a `PID`")
	cmd.Flags().StringVar(&user, "user", "", "for this `user`, a name or a number, and no process in particular")
	return cmd
}

// explainText is what `explain` prints for a name, an address or a URL, as text: for a process (0: none in particular)
// of a user. The error is of what could not be asked; that nothing is steered is none.
func (a *app) explainText(arg string, pid, uid uint32) (string, error) {
	s, err := parseSubject(arg)
	if err != nil {
		return "", err
	}
	who := explainFor{UID: uid, User: userName(uid)}
	if pid != 0 {
		if who, err = processFor(pid); errors.Is(err, procs.ErrEnded) {
			who = explainFor{PID: pid, UID: uid, User: userName(uid), Comm: ended}
		} else if err != nil {
			return "", err
		}
	}
	r, err := a.explained(s, who)
	if err != nil {
		return "", err
	}
	return r.text(), nil
}

// whoAsked is for whom it is to be explained, by the flags.
func whoAsked(byProcess bool, pid uint32, byUser bool, user string) (explainFor, error) {
	switch {
	case byProcess && byUser:
		return explainFor{}, usageError{errors.New("--process has its user already; give that or --user")}
	case byProcess:
		who, err := processFor(pid)
		if errors.Is(err, procs.ErrEnded) {
			return who, usageError{fmt.Errorf("there is no process %d (any more); ask for its user: --user USER", pid)}
		}
		return who, err
	case byUser:
		uid, err := userNumber(user)
		if err != nil {
			return explainFor{}, usageError{fmt.Errorf("--user %.80q: %w", user, err)}
		}
		return explainFor{UID: uid, User: userName(uid)}, nil
	}
	uid := caller(os.Getuid(), os.Getenv("SUDO_UID"))
	return explainFor{UID: uid, User: userName(uid), Default: true}, nil
}

// caller is the user who asks: by sudo it is not root.
func caller(uid int, sudo string) uint32 {
	if n, err := strconv.ParseUint(sudo, 10, 32); err == nil && uid == 0 {
		return uint32(n)
	}
	return uint32(uid)
}

// processFor looks at a process.
func processFor(pid uint32) (explainFor, error) {
	p, err := procs.Of(pid)
	if err != nil {
		return explainFor{}, err
	}
	return explainFor{PID: p.PID, Comm: p.Comm, UID: p.UID, User: userName(p.UID)}, nil
}

// explained asks for all that there is to be told. The lock is held only while the system is read.
func (a *app) explained(s subject, who explainFor) (*explainResult, error) {
	who.Parents = []explainParent{}
	r := &explainResult{
		Subject: s.String(), Kind: "address", Given: s.given, Port: s.port, For: who, Rules: []explainRule{}, Addresses: []explainAddress{},
		Elsewhere: []explainElsewhere{}, Interfaces: []explainInterface{}, Disagreements: []string{}, Notes: []string{},
	}
	if s.name != "" {
		r.Kind, r.Asks = "name", who.PID == 0
	}
	e := &explainer{app: a, subject: s, result: r, devices: newFinder()}
	err := withSystem(e.read)
	switch {
	case errors.Is(err, dataplane.ErrNotStarted):
		e.notStarted()
		return r, nil
	case err != nil:
		return nil, err
	}
	if err := cmp.Or(e.devices.err, e.routes()); err != nil {
		return nil, err
	}
	e.places()
	e.conclude()
	return r, nil
}

// ended is what a process that is gone is called.
const ended = "ended"

// explainer gathers an explanation.
type explainer struct {
	*app
	subject subject
	result  *explainResult
	devices *finder
	ways    []way

	prefixes bool // there are rules for addresses
}

func (e *explainer) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.result.Notes, text) {
		e.result.Notes = append(e.result.Notes, text)
	}
}
