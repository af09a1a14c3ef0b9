// Command guest is what runs in vmtest's virtual machine with systemd, one unit for each of its words:
//
//	guest world     makes the uplinks, and the internet behind them (a network manager, as far as systemd knows)
//	guest first     makes the first connections of the boot, and notes what became of them
//	guest last      notes what holds when nearly all has ended
//	guest resolver  is there to be told to forget its cache
//	guest test      looks whether all went as it should, tells the exit code on the console, and reboots or powers off
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	words := map[string]func() error{"world": world, "first": first, "last": last, "resolver": resolver, "test": test}
	word := ""
	if len(os.Args) == 2 {
		word = os.Args[1]
	}
	run := words[word]
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: guest world|first|last|resolver|test")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "guest %s: %v\n", word, err)
		os.Exit(1)
	}
}

// note and noted pass something on from one unit to another, in one boot.
const notes = "/run/guest"

func note(name, text string) error {
	if err := os.MkdirAll(notes, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(notes, name), []byte(text), 0o644)
}

func noted(name string) string {
	text, _ := os.ReadFile(filepath.Join(notes, name))
	return string(text)
}
