package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// loaded is what loading a rule list took, in seconds and bytes.
type loaded struct {
	Parse float64 `json:"parse"`
	Set   float64 `json:"set"`
	Peak  uint64  `json:"peak"` // of the process's memory
	Whole float64 `json:"-"`    // start of the process to its end
	CPU   float64 `json:"-"`    // time of all its threads
}

// loadMain is the process that loads the rule list named by its argument, as the command line does: the lock, the rule
// set, the swap.
func loadMain() int {
	did, err := loadRules(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(did)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench load:", err)
		return 1
	}
	return 0
}

func loadRules(file string) (loaded, error) {
	var did loaded
	began := time.Now()
	text, err := os.ReadFile(file)
	if err != nil {
		return did, err
	}
	set := ruleset.New()
	if err := set.UnmarshalText(text); err != nil {
		return did, err
	}
	did.Parse = time.Since(began).Seconds()
	began = time.Now()
	s, err := dataplane.Open(netdev.Addresses)
	if err != nil {
		return did, err
	}
	defer s.Close()
	if err := s.SetRules(set); err != nil {
		return did, err
	}
	did.Set = time.Since(began).Seconds()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return did, err
	}
	did.Peak = uint64(usage.Maxrss) << 10
	return did, nil
}
