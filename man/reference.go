package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// reference tells of all commands, in the words of their help.
func reference(root *cobra.Command) string {
	var b strings.Builder
	for _, cmd := range root.Commands() {
		tell(&b, root, cmd)
	}
	return b.String()
}

func tell(b *strings.Builder, root, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Deprecated != "" {
		return
	}
	if !cmd.HasSubCommands() { // rule and completion are but the word before others
		use := strings.TrimSuffix(strings.TrimPrefix(cmd.UseLine(), root.Name()+" "), " [flags]")
		fmt.Fprintf(b, "## %s\n", escape(use))
		if len(cmd.Aliases) > 0 {
			fmt.Fprintf(b, "Also called %s.\n\n", strings.Join(cmd.Aliases, ", "))
		}
		if cmd.Long == "" {
			fmt.Fprintf(b, "%s.\n\n", escape(cmd.Short))
		} else {
			// What cobra tells of where each shell wants its script, packages and make install know.
			long, _, _ := strings.Cut(cmd.Long, "\n\nTo load completions")
			fmt.Fprintf(b, "%s.\n\n%s\n\n", escape(cmd.Short), prose(long))
		}
		b.WriteString(flags(cmd.LocalNonPersistentFlags()))
		if cmd.Example != "" {
			fmt.Fprintf(b, "For example:\n\n%s\n\n", block(cmd.Example))
		}
	}
	for _, c := range cmd.Commands() {
		tell(b, root, c)
	}
}

// flags lists flags with what they take.
func flags(set *pflag.FlagSet) string {
	var b strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		usage = strings.TrimPrefix(usage, value+": ")
		b.WriteString("**")
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "-%s**, **", f.Shorthand)
		}
		fmt.Fprintf(&b, "--%s**", escape(f.Name))
		if value != "" {
			fmt.Fprintf(&b, " *%s*", escape(value))
		}
		fmt.Fprintf(&b, "\n:   %s%s\n\n", escape(usage), preset(f))
	})
	return b.String()
}

// preset tells the default of a flag, where it has one that its usage does not tell.
func preset(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "0", "[]", "0s":
		return ""
	}
	if strings.Contains(f.Usage, "default") {
		return ""
	}
	return fmt.Sprintf(" (default %s)", escape(f.DefValue))
}

// prose is the text of a help as Markdown: what is indented stays as it is.
func prose(text string) string {
	var out []string
	indented := false
	for _, line := range strings.Split(text, "\n") {
		is := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		if is != indented && line != "" {
			out = append(out, "")
			indented = is
		}
		if !is {
			line = escape(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// block indents lines as code.
func block(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = "    " + strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

var special = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "]", `\]`, "|", `\|`)

// escape has Markdown take text as it is.
func escape(text string) string { return special.Replace(text) }
