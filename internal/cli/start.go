package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/warm"
)

type startResult struct {
	Action    string   `json:"action"` // started, updated, completed
	Observers []string `json:"observers"`
	Cgroup    string   `json:"cgroup"`
	History   bool     `json:"history"`
	Audit     bool     `json:"audit"`
	Warnings  []string `json:"warnings"`

	Configuration configState         `json:"configuration"`
	Counts        map[ruleio.Kind]int `json:"finding_counts"` // of the configuration; apply --dry-run has them one by one
	Skipped       int                 `json:"skipped"`        // entries of its lists that no rule can say

	Warm []warm.Step `json:"warm"`
}

// startFlags are those of start. What none of them says, the configuration may.
type startFlags struct {
	observe     []string
	cgroup      string
	verifierLog bool
	warming     warmStart
	history     historyFlag
	audit       auditFlag
}

func (a *app) start() *cobra.Command {
	var flags startFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Load the programs and steer; on a started system, update them in place",
		Long: `Loads the programs into the kernel, pins them, and exits. Sockets of the network namespace this runs in are
steered, by the rules of the configuration if there is one: they are in force from the first moment on. On a started
system it brings the programs to this version, keeping rules, learnt names, and whatever no flag and no
configuration says otherwise.

Observers, the sources of names:
    sockets      the DNS questions and answers of every program's own sockets (default)
    libc         what C libraries tell their programs, wherever they have it from (default)
    tc           DNS that passes any interface there is now, also what this host forwards for others
    tc:IF,...    DNS that passes these interfaces

--history=no keeps nothing of names without a rule, and forgets what is kept of them. A rule that is added later then
counts once its names are asked for again, and on an address shared by names with a rule and without, whoever asked
only for the one without is steered if his user or the host asked for the other.

--audit looks at the name that TLS connections ask for in the clear (SNI, TCP on any port), where they were not steered. If
the name has a rule that would have steered it, its look-up was one that no observer saw, as a browser's own DNS over HTTPS: status
lists it as a leak, and the address is learnt, for the program and its user, so that the next connection is steered. QUIC is not
looked into, and Encrypted Client Hello hides the name. --audit=no ends it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			l, err := a.loadForStart()
			if err != nil {
				return err
			}
			o, err := flags.options(cmd, l)
			if err != nil {
				return err
			}
			bar := a.progress("starting")
			defer bar.end()
			o.Version = version
			done, err := dataplane.Start(o)
			bar.end()
			if err != nil {
				a.showVerifierLog(err, flags.verifierLog)
				return err
			}
			if l.keep != nil {
				l.keep()
			}
			return a.printStarted(o, done, l, &flags.warming)
		},
	}
	cmd.Flags().StringArrayVar(&flags.observe, "observe", nil, "`observer`: sockets (default), libc (default), tc or tc:IF,...; may be given more than once")
	cmd.Flags().StringVar(&flags.cgroup, "cgroup", "", "attach to this cgroup v2 `directory` and what is below it (default: the root)")
	flags.warming.flags(cmd)
	flags.history.add(cmd)
	flags.audit.add(cmd)
	cmd.Flags().BoolVar(&flags.verifierLog, "verifier-log", false, "if the kernel refuses a program, print its whole log")
	_ = cmd.MarkFlagDirname("cgroup")
	_ = cmd.RegisterFlagCompletionFunc("observe", always(observerWords))
	return cmd
}

// check finds what is wrong before anything is read, which may take long.
func (f *startFlags) check(cmd *cobra.Command) error {
	if err := f.warming.check(); err != nil {
		return err
	}
	if _, err := f.history.option(cmd); err != nil {
		return err
	}
	if _, err := f.audit.option(cmd); err != nil {
		return err
	}
	present, err := devices()
	if err != nil {
		return err
	}
	if _, err := observers(f.observe, present); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return &dataplane.CureError{Err: fmt.Errorf("%w: not root", dataplane.ErrRefused), Cure: "run it as root, by sudo"}
	}
	return nil
}

// options puts flags, the configuration and the host's interfaces together.
func (f *startFlags) options(cmd *cobra.Command, l *loaded) (o dataplane.StartOptions, err error) {
	o = dataplane.StartOptions{Cgroup: f.cgroup, History: l.History, Audit: l.Audit}
	if l.Rules.Len() > 0 {
		o.Rules = l.Rules
	}
	if !cmd.Flags().Changed("cgroup") {
		o.Cgroup = l.Cgroup
	}
	if !cmd.Flags().Changed("flush") && l.Flush != nil {
		f.warming.flush = yesOrNo(*l.Flush)
	}
	if cmd.Flags().Changed("history") {
		if o.History, err = f.history.option(cmd); err != nil {
			return o, err
		}
	}
	if cmd.Flags().Changed("audit") {
		if o.Audit, err = f.audit.option(cmd); err != nil {
			return o, err
		}
	}
	if o.Present, err = devices(); err != nil {
		return o, err
	}
	observe := f.observe
	if !cmd.Flags().Changed("observe") {
		observe = l.Observe
	}
	if len(observe) > 0 {
		if o.Observe, err = observers(observe, o.Present); err != nil {
			return o, err
		}
	}
	o.Own, err = netdev.Addresses()
	return o, err
}

func (a *app) printStarted(o dataplane.StartOptions, done dataplane.Started, l *loaded, warming *warmStart) error {
	fresh := done.Action == "started"
	result := startResult{Action: done.Action, Observers: done.Observers.Strings(), Cgroup: done.Cgroup, History: done.History, Audit: done.Audit,
		Warnings: notNil(done.Warnings), Configuration: l.stateStarted(done, o.Present), Counts: l.counts(), Skipped: l.skipped()}
	result.Warnings = append(result.Warnings, l.emptyWarnings(fresh)...)
	if done.Observers.TC {
		result.Warnings = append(result.Warnings, "what the observer tc learns counts for the whole host, whoever asked")
	}
	if !fresh && len(l.files) > 0 {
		running, err := runningDigest()
		if err != nil {
			return err
		}
		if result.Configuration.Differs = running != l.digest(); result.Configuration.Differs {
			result.Warnings = append(result.Warnings, "the rules stay as they run, and the configuration has others; "+cureDiffers)
		}
	}
	for _, w := range result.Warnings {
		a.warn("warning: %s", w)
	}
	if a.output != "json" {
		a.warn("%s; observers: %s; cgroup: %s%s", done.Action, strings.Join(result.Observers, " "), done.Cgroup, auditWords(o.Audit, done.Audit))
		if fresh && len(l.files) > 0 {
			a.warn("rules of the configuration: %d", l.Rules.Len())
		}
	}
	warming.written = l.Inline()
	result.Warm = warming.run(a, fresh && l.Rules.Len() == 0)
	return a.print("Start", result, func() {})
}

func devices() ([]dataplane.Device, error) {
	list, err := netdev.List()
	var all []dataplane.Device
	for _, d := range list {
		all = append(all, dataplane.Device{Index: d.Index, Name: d.Name, Ethernet: d.Ethernet, Loopback: d.Loopback})
	}
	return all, err
}

// observers reads --observe.
func observers(given []string, present []dataplane.Device) (*dataplane.Observers, error) {
	o := &dataplane.Observers{}
	for _, g := range given {
		kind, list, hasList := strings.Cut(g, ":")
		switch {
		case g == "sockets":
			o.Sockets = true
		case g == "libc":
			o.Libc = true
		case g == "tc":
			o.TC, o.TCAll, o.Devices = true, true, present
		case kind == "tc" && hasList:
			o.TC = true
			named, err := devicesNamed(list, present)
			if err != nil {
				return nil, err
			}
			o.Devices = append(o.Devices, named...)
		default:
			return nil, usageError{fmt.Errorf("observer %q: it is sockets, libc, tc or tc:IF,IF; give --observe once for each", g)}
		}
	}
	if o.Sockets {
		return o, leaveLoopback(o)
	}
	return o, nil
}

// devicesNamed finds the interfaces of a list.
func devicesNamed(list string, present []dataplane.Device) ([]dataplane.Device, error) {
	if list == "" {
		return nil, usageError{errors.New(`observer "tc:" needs an interface, as in tc:eth1`)}
	}
	var named []dataplane.Device
	for _, name := range strings.Split(list, ",") {
		if name == "" {
			return nil, usageError{fmt.Errorf("observer %q: an interface's name is empty", "tc:"+list)}
		}
		i := slices.IndexFunc(present, func(d dataplane.Device) bool { return d.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: %s", netdev.ErrNoDevice, name)
		}
		named = append(named, present[i])
	}
	return named, nil
}

// leaveLoopback keeps `tc` off loopback where `sockets` runs: there every program's questions pass without their
// socket, and would count for the whole host.
func leaveLoopback(o *dataplane.Observers) error {
	if !o.TCAll && slices.ContainsFunc(o.Devices, loopback) {
		return usageError{errors.New("observer tc:lo would make what any user asks count for all; leave it to sockets")}
	}
	o.Devices = slices.DeleteFunc(slices.Clone(o.Devices), loopback)
	return nil
}

func loopback(d dataplane.Device) bool { return d.Loopback }

func (a *app) showVerifierLog(err error, wanted bool) {
	if log, ok := dataplane.VerifierLog(err); ok && wanted {
		fmt.Fprintln(a.Stderr, log)
	}
}
