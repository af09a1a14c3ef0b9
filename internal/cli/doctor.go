package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/doctor"
)

// doctorResult is what doctor found.
type doctorResult struct {
	Sound  bool           `json:"sound"`
	Checks []doctor.Check `json:"checks"`
}

func (a *app) doctor() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps rules from working, and say what mends it; exit 1 if anything is wrong",
		Long: `Looks at the kernel, at what is attached, at interfaces, resolvers, browsers, rules and tables, and prints a line for each
check: how it stands, its name, what was found; and where something is wrong, or could be, what helps, behind "->".

    ok    as it should be
    note  good to know; nothing is wrong
    warn  may not do what is meant
    fail  does not work

It reads only. On a system that is not started it says what will not work once it is, with the rules of the
configuration. --verbose also lists what a line is about, such as each rule or program. Exit 1 if there is any warn or
fail, which "not started" is.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			facts, err := a.facts()
			if err != nil {
				return err
			}
			result := doctorResult{Checks: doctor.Examine(facts)}
			result.Sound = doctor.Sound(result.Checks)
			if err := a.print("Doctor", result, func() { a.printChecks(result.Checks, verbose) }); err != nil {
				return err
			}
			if !result.Sound {
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "also list what each line is about")
	return cmd
}

// Columns of doctor.
const (
	wideLevel = 6
	wideID    = 17
	terminal  = 80 // columns
)

// printChecks prints a line for each check. On a terminal long ones are wrapped, but for cures, which are to be copied.
func (a *app) printChecks(all []doctor.Check, verbose bool) {
	group := doctor.Group("")
	for _, c := range all {
		if c.Group != group {
			if group != "" {
				fmt.Fprintln(a.Stdout)
			}
			group = c.Group
			fmt.Fprintln(a.Stdout, group)
		}
		found := c.Found
		if c.Subject != "" {
			found = c.Subject + ": " + found
		}
		head := fmt.Sprintf("%-*s%-*s", wideLevel, c.Level, wideID, c.ID)
		found = printable(found)
		if a.Terminal {
			found = wrap(found, terminal-len(head), strings.Repeat(" ", wideLevel+wideID))
		}
		fmt.Fprintln(a.Stdout, head+found)
		if c.Cure != "" && c.Level != doctor.OK {
			fmt.Fprintf(a.Stdout, "%*s-> %s\n", wideLevel, "", printable(c.Cure))
		}
		if verbose {
			for _, d := range c.Details {
				fmt.Fprintf(a.Stdout, "%*s%s\n", wideLevel+wideID, "", printable(d))
			}
		}
	}
	a.sumUp(all)
}

// sumUp says in a line how it stands.
func (a *app) sumUp(all []doctor.Check) {
	n := map[doctor.Level]int{}
	for _, c := range all {
		n[c.Level]++
	}
	fmt.Fprintf(a.Stdout, "\n%d ok, %d to note, %d warnings, %d failures\n", n[doctor.OK], n[doctor.Note], n[doctor.Warn], n[doctor.Fail])
}

// wrap breaks text between words, so that no line is longer than width if that can be; lines but the first are indented.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	left := width
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case len([]rune(word))+1 > left:
			b.WriteString("\n" + indent)
			left = width
		default:
			b.WriteByte(' ')
			left--
		}
		b.WriteString(word)
		left -= len([]rune(word))
	}
	return b.String()
}
