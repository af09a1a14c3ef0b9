// Command bench measures domain-route against the same path with no program attached, in a lab of network
// namespaces, and prints the table of figures. It needs root and the built binary; see docs/benchmarks.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

// options are the command line.
type options struct {
	json  bool
	out   string
	short bool
	only  string
	bin   string
}

// plan is how much is measured: numbers of rounds and of operations in one.
type plan struct {
	connectRounds, connects int
	udpRounds, udpBlocks    int
	bulkConnections         int
	bulkRounds, bulkBlocks  int // rounds of one connection
	answers, answerRounds   int // answers in one round
	starts                  int
	libcRounds, lookups     int
	matchRounds, loadRounds int
	rules                   []int // sizes of rule sets compared, ascending
}

var fullPlan = plan{
	connectRounds: 100, connects: 200,
	udpRounds: 100, udpBlocks: 60,
	bulkConnections: 6, bulkRounds: 15, bulkBlocks: 8,
	answers: 20, answerRounds: 30,
	starts:     15,
	libcRounds: 20, lookups: 2000,
	matchRounds: 5, loadRounds: 5,
	rules: []int{1_000, 100_000, 1_000_000},
}

var shortPlan = plan{
	connectRounds: 25, connects: 150,
	udpRounds: 25, udpBlocks: 40,
	bulkConnections: 3, bulkRounds: 6, bulkBlocks: 8,
	answers: 20, answerRounds: 10,
	starts:     5,
	libcRounds: 5, lookups: 2000,
	matchRounds: 2, loadRounds: 2,
	rules: []int{1_000, 1_000_000},
}

// A section measures some rows of the table.
type section struct {
	name string
	run  func(*bench) error
}

var sections = []section{
	{"start", (*bench).measureStart},
	{"connect", (*bench).measureConnect},
	{"udp", (*bench).measureUDP},
	{"bulk", (*bench).measureBulk},
	{"audit", (*bench).measureAudit},
	{"answer", (*bench).measureAnswers},
	{"libc", (*bench).measureLibc},
	{"rules", (*bench).measureRules},
	{"load", (*bench).measureLoad},
	{"memory", (*bench).measureMemory},
	{"reference", (*bench).measureReference},
}

// bench is one run.
type bench struct {
	plan
	bin    string
	report report
}

func main() {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	lab.Isolate()
	o := parse()
	b := &bench{plan: fullPlan, bin: o.bin}
	if o.short {
		b.plan = shortPlan
	}
	if err := b.run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse() options {
	var o options
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	flag.BoolVar(&o.json, "json", false, "print JSON instead of text")
	flag.StringVar(&o.out, "o", "", "write the table to `FILE` too: .json, .md or text")
	flag.BoolVar(&o.short, "short", false, "fewer rounds: under a minute")
	flag.StringVar(&o.only, "only", "", "comma-separated `sections`: "+strings.Join(names, ", "))
	flag.StringVar(&o.bin, "bin", "bin/domain-route", "the built `binary`")
	flag.Parse()
	for _, name := range strings.Split(o.only, ",") {
		if flag.NArg() > 0 || (name != "" && !slices.Contains(names, name)) {
			flag.Usage()
			os.Exit(2)
		}
	}
	return o
}

func (b *bench) run(o options) error {
	if err := b.findBinary(); err != nil {
		return err
	}
	began := time.Now()
	b.report.Machine = describeMachine()
	for _, s := range sections {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+s.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", s.name)
		if err := s.run(b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.report.Machine.ended()
	b.report.Seconds = time.Since(began).Seconds()
	if o.out != "" {
		if err := b.report.writeFile(o.out); err != nil {
			return err
		}
	}
	if o.json {
		return b.report.writeJSON(os.Stdout)
	}
	return b.report.writeText(os.Stdout)
}
