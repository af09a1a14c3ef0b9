package cli

import (
	"io"

	"github.com/spf13/cobra"
)

// Commands is the tree of all commands with their flags, for the manual page and for tests. It is not for running them.
func Commands() *cobra.Command {
	root := newRoot(&app{Env: Env{Stdout: io.Discard, Stderr: io.Discard}})
	knownShells(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultVersionFlag()
	visit(root, func(cmd *cobra.Command) { cmd.InitDefaultHelpFlag() })
	return root
}

// visit calls f for a command and all below it.
func visit(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		visit(c, f)
	}
}
