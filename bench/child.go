package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// childEnv makes a copy of this binary a child: a CPU's number for one that is pinned there and does what it is asked,
// "lists" for one that writes rule lists.
const childEnv = "DOMAIN_ROUTE_BENCH_CHILD"

// order is what a child is asked to do; outcome is what came of it. One line of JSON each.
type order struct {
	Op    string           `json:"op"`
	Addr  netip.AddrPort   `json:"addr"`
	Addrs []netip.AddrPort `json:"addrs,omitempty"`
	Names []string         `json:"names,omitempty"`
	Count int              `json:"count,omitempty"`
	PID   int              `json:"pid,omitempty"`
}

type outcome struct {
	Error string  `json:"error,omitempty"`
	Value float64 `json:"value"`
	Count int     `json:"count"`
}

// ops are what a child can do. They run on its main thread, which is pinned.
var ops = map[string]func(order) (outcome, error){
	"connect":    connectTCP,
	"reconnect":  reconnectUDP,
	"udp":        func(o order) (outcome, error) { return bounceUDP(o, true) },
	"udp-sendto": func(o order) (outcome, error) { return bounceUDP(o, false) },
	"ask":        askNames,
	"listen":     listenForConnects,
	"drain":      drain,
	"hello":      connectHello,

	"close-connects": closeConnects,

	"stream-listen": streamListen,
	"stream-open":   streamOpen,
	"stream-accept": streamAccept,
	"stream-take":   streamTake,
	"stream-up":     func(o order) (outcome, error) { return streamRun(o, true) },
	"stream-down":   func(o order) (outcome, error) { return streamRun(o, false) },
	"stream-close":  streamClose,
}

func childMain() int {
	if os.Getenv(childEnv) == "lists" {
		return listsMain()
	}
	runtime.LockOSThread()
	if err := pin(os.Getenv(childEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "bench child:", err)
		return 1
	}
	debug.SetGCPercent(-1) // between orders only
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return 0
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "bench child:", err)
			return 1
		}
		var done outcome
		err := fmt.Errorf("no operation %q", o.Op)
		if op := ops[o.Op]; op != nil {
			done, err = op(o)
		}
		if err != nil {
			done.Error = fmt.Sprintf("%s %v: %v", o.Op, o.Addr, err)
		}
		if err := out.Encode(done); err != nil {
			return 1
		}
		runtime.GC()
	}
}

// pin ties the calling thread to a CPU.
func pin(cpu string) error {
	n, err := strconv.Atoi(cpu)
	if err != nil {
		return fmt.Errorf("pin to CPU %q: %w", cpu, err)
	}
	var set unix.CPUSet
	set.Set(n % runtime.NumCPU())
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin to CPU %d: %w", n, err)
	}
	return nil
}
