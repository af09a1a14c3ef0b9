// Command man makes the manual pages: domain-route.8 and domain-route.conf.5, from the text beside it and from the commands
// themselves, so that no command or flag is missing.
//
//	go run ./man [-version V] [-date YYYY-MM-DD] DIRECTORY
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"

	"github.com/domain-route/domain-route/internal/cli"
)

var (
	//go:embed domain-route.8.md
	program string
	//go:embed domain-route.conf.5.md
	configuration string
)

func main() {
	version := flag.String("version", "dev", "of the program")
	date := flag.String("date", "", "of the pages, YYYY-MM-DD")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: go run ./man [-version V] [-date YYYY-MM-DD] DIRECTORY")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *version, *date); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write makes the pages in a directory, which it makes, too.
func write(dir, version, date string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range pages(version, date) {
		if err := os.WriteFile(filepath.Join(dir, name), md2man.Render([]byte(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages are the pages as Markdown, by the names of their files.
func pages(version, date string) map[string]string {
	root := cli.Commands()
	text := strings.NewReplacer("@COMMANDS@\n", reference(root), "@FLAGS@\n", flags(root.PersistentFlags())).Replace(program)
	title := func(name, section, manual string) string {
		return fmt.Sprintf("%% \"%s\" \"%s\" \"%s\" \"domain-route %s\" \"%s\"\n\n", name, section, date, version, manual)
	}
	return map[string]string{
		"domain-route.8":      title("DOMAIN-ROUTE", "8", "System Manager's Manual") + text,
		"domain-route.conf.5": title("DOMAIN-ROUTE.CONF", "5", "File Formats Manual") + configuration,
	}
}
