package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
)

type startResult struct {
	Action    string   `json:"action"` // started, updated, completed
	Observers []string `json:"observers"`
	Cgroup    string   `json:"cgroup"`
	Warnings  []string `json:"warnings"`
}

func (a *app) start() *cobra.Command {
	var observe []string
	var cgroup string
	var verifierLog bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Load the programs and steer; on a started system, update them in place",
		Long: `Loads the programs into the kernel, pins them, and exits. Sockets of the network namespace this runs in are
steered. On a started system it brings the programs to this version, keeping rules and learnt names.

Observers, the sources of names:
    sockets      the DNS questions and answers of every program's own sockets (default)
    tc           DNS that passes any interface of this host, also what it forwards for others
    tc:IF,...    DNS that passes these interfaces`,
		Args: args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			o := dataplane.StartOptions{Cgroup: cgroup}
			names, err := a.observers(observe, &o)
			if err != nil {
				return err
			}
			if o.Own, err = netdev.Addresses(); err != nil {
				return err
			}
			done, err := dataplane.Start(o)
			if err != nil {
				a.showVerifierLog(err, verifierLog)
				return err
			}
			return a.print("Start", startResult{done.Action, names, done.Cgroup, []string{}}, func() {
				a.warn("%s; observers: %s; cgroup: %s", done.Action, strings.Join(names, ", "), done.Cgroup)
			})
		},
	}
	cmd.Flags().StringArrayVar(&observe, "observe", []string{"sockets"}, "`observer`: sockets, tc or tc:IF,...; may be given twice")
	cmd.Flags().StringVar(&cgroup, "cgroup", "", "attach to this cgroup v2 `directory` and what is below it (default: the root)")
	cmd.Flags().BoolVar(&verifierLog, "verifier-log", false, "if the kernel refuses a program, print its whole log")
	_ = cmd.MarkFlagDirname("cgroup")
	_ = cmd.RegisterFlagCompletionFunc("observe", cobra.FixedCompletions([]string{"sockets", "tc"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// observers reads --observe into the options, and returns it in its canonical form.
func (a *app) observers(given []string, o *dataplane.StartOptions) (names []string, err error) {
	for _, g := range given {
		kind, list, hasList := strings.Cut(g, ":")
		switch {
		case kind == "sockets" && !hasList:
			o.Sockets = true
		case kind == "tc":
			o.TC = true
			if err := addDevices(o, list, hasList); err != nil {
				return nil, err
			}
		default:
			return nil, usageError{fmt.Errorf("observer %q: it is sockets, tc or tc:IF,IF", g)}
		}
		names = append(names, g)
	}
	return names, nil
}

func addDevices(o *dataplane.StartOptions, list string, hasList bool) error {
	var devices []netdev.Device
	var err error
	if hasList {
		for _, name := range strings.Split(list, ",") {
			d, err := netdev.ByName(name)
			if err != nil {
				return err
			}
			devices = append(devices, d)
		}
	} else if devices, err = netdev.List(); err != nil {
		return err
	}
	for _, d := range devices {
		o.Devices = append(o.Devices, dataplane.Device(d))
	}
	return nil
}

func (a *app) showVerifierLog(err error, wanted bool) {
	if log, ok := dataplane.VerifierLog(err); ok && wanted {
		fmt.Fprintln(a.Stderr, log)
	}
}
