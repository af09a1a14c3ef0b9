// Command domain-route sends connections by domain name. See README.md.
package main

import (
	"os"

	"github.com/domain-route/domain-route/internal/cli"
)

func main() {
	terminal := cli.IsTerminal(os.Stdout)
	os.Exit(cli.Run(cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Terminal: terminal}, os.Args[1:]))
}
