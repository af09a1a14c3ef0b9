// Command domain-route sends connections by domain name. See README.md.
package main

import (
	"os"

	"github.com/domain-route/domain-route/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Terminal: cli.IsTerminal(os.Stdout), ErrTerminal: cli.IsTerminal(os.Stderr), InTerminal: cli.IsTerminal(os.Stdin),
	}, os.Args[1:]))
}
