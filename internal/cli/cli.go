// Package cli is the command line: one file for each command.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Exit codes.
const (
	ExitDone    = 0 // done, or yes
	ExitNo      = 1 // a truthful no
	ExitUsage   = 2 // usage or configuration
	ExitRefused = 3 // refused by the kernel or for want of permission
)

// Env is what a command may use of the world.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       bool // Stdout is one: align tables and head them
	ErrTerminal    bool // Stderr is one: show progress
	InTerminal     bool // Stdin is one: say that it is waited for
}

// errNo is a truthful no that has been said already.
var errNo = errors.New("no")

// usageError is wrong usage.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Run runs one command and returns its exit code.
func Run(env Env, args []string) int {
	saveMemory()
	out := &sink{to: env.Stdout}
	env.Stdout = out
	root := newRoot(&app{Env: env})
	root.SetArgs(args)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	knownShells(root)
	err := root.Execute()
	if out.err != nil {
		err = lostOutput(err, out.err)
	}
	if err != nil && !errors.Is(err, errNo) {
		fmt.Fprintf(env.Stderr, "domain-route: %s\n", printable(strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	return exitCode(err)
}

// lostOutput adds to what a command came to that not all of it was printed: whoever keeps the output must know, and
// that nothing else failed.
func lostOutput(err, lost error) error {
	says := fmt.Errorf("the output is lost, and nothing else: write to standard output: %w", lost)
	if err == nil || errors.Is(err, errNo) || errors.Is(err, lost) {
		return says
	}
	return fmt.Errorf("%w; write to standard output: %w", err, lost)
}

// sink remembers that something could not be written.
type sink struct {
	to  io.Writer
	err error
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.to.Write(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

func exitCode(err error) int {
	var usage usageError
	var syntax *pattern.SyntaxError
	var target *ruleset.TargetError
	var elsewhere *dataplane.AttachedElsewhereError
	var layout *dataplane.LayoutError
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, dataplane.ErrRefused):
		return ExitRefused
	case errors.Is(err, errNo), errors.Is(err, dataplane.ErrNotStarted):
		return ExitNo
	case errors.As(err, &usage), errors.As(err, &syntax), errors.As(err, &target), errors.As(err, &elsewhere),
		errors.As(err, &layout), errors.Is(err, netdev.ErrNoDevice), errors.Is(err, dataplane.ErrNotCgroup),
		errors.Is(err, dataplane.ErrTooManyTargets), errors.Is(err, ruleset.ErrTooManyConditions), isInputError(err):
		return ExitUsage
	default:
		return ExitRefused
	}
}

// app is what the commands share.
type app struct {
	Env
	output string // -o
	config string // --config
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "domain-route",
		Short: "Send connections by domain name, in the kernel, with nothing running",
		Long: `domain-route sends every new connection to a domain by the interface you name.

    sudo domain-route start
    sudo domain-route rule add example.com wg0

From then on all programs' connections to example.com and its subdomains leave by wg0. Nothing keeps running:
programs in the kernel learn from DNS answers which address belongs to which name, and bind sockets as they
connect.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "text" && a.output != "json" {
				return usageError{fmt.Errorf("output format %q: it is text or json", a.output)}
			}
			return nil
		},
	}
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "text", "output `format`: text or json")
	root.PersistentFlags().StringVar(&a.config, "config", defaultConfig, "configuration `file`, with config.d/*.yaml beside it; or none")
	root.SetFlagErrorFunc(flagMeant)
	root.Version = version
	root.SetVersionTemplate("domain-route {{.Version}}\n")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.SetHelpCommand(a.help(root))
	root.AddCommand(a.start(), a.stop(), a.status(), a.metrics(), a.rule(), a.rdns(), a.flush(), a.decision(), a.explain(), a.reset(),
		a.apply(), a.importLists(), a.export(), a.schema(), a.version(), a.watch(), a.top(), a.doctor())
	completeLive(root)
	return root
}

// noArgs refuses all arguments, in words that do not take them for a command.
func noArgs(cmd *cobra.Command, given []string) error {
	if len(given) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, and got %q%s", cmd.CommandPath(), given[0], argumentMeant(cmd, given[0]))}
	}
	return nil
}

// args wants from least to most arguments, as the usage line names them.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) < least || len(given) > most {
			return usageError{fmt.Errorf("wrong number of arguments; usage: %s", cmd.UseLine())}
		}
		return nil
	}
}

// startFirst says what helps where nothing is started, or seems so.
func startFirst(err error) error {
	if hidden := (*dataplane.HiddenError)(nil); errors.As(err, &hidden) {
		return err
	}
	return fmt.Errorf("%w; first: domain-route start", err)
}

// withSystem opens what is started, for one command.
func withSystem(f func(*dataplane.System) error) error {
	s, err := dataplane.Open(netdev.Addresses)
	if errors.Is(err, dataplane.ErrNotStarted) {
		return startFirst(err)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	return f(s)
}

func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "domain-route: %s\n", printable(fmt.Sprintf(format, args...)))
}

// IsTerminal tells whether a file is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
