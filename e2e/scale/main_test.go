// Package scale puts large rule sets in force while programs connect.
package scale

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	// size is how many rules a set has, besides those that are looked at; envSize gives another number: 1000000 takes minutes.
	size    = 200_000
	envSize = "DOMAIN_ROUTE_RULES"
	// swaps is how often they are put in the place of others.
	swaps    = 6
	envSwaps = "DOMAIN_ROUTE_SWAPS"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// number is an environment variable's, or the usual one.
func number(t testing.TB, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// applied is what one run of apply took.
type applied struct {
	began, ended time.Duration // on clock
	memory       int64         // at most, in bytes
}

// clock is what all times count from; it only goes forward.
var clock = time.Now()

// apply puts a file's rules in force.
func apply(h *harness.Host, bin, file string) (applied, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := h.HostCommand(ctx, bin, "apply", "-f", file)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	a := applied{began: time.Since(clock)}
	err := cmd.Run()
	a.ended = time.Since(clock)
	if err != nil {
		return a, fmt.Errorf("apply -f %s: %w: %s", file, err, strings.TrimSpace(errs.String()))
	}
	a.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return a, nil
}
