package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lookups is a C program that looks a name up so often, and prints the median time of one in ns.
const lookups = `
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static int order(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}
int main(int argc, char **argv) {
	int n = atoi(argv[2]);
	double *ns = calloc(n, sizeof(*ns));
	for (int i = 0; i < n; i++) {
		struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		if (getaddrinfo(argv[1], 0, &hints, &found))
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &b);
		freeaddrinfo(found);
		ns[i] = (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
	}
	qsort(ns, n, sizeof(*ns), order);
	printf("%.0f\n", ns[n / 2]);
}
`

// measureLibc times look-ups by the C library with and without the observer, in /etc/hosts: nothing there is quicker.
func (b *bench) measureLibc() (err error) {
	w, err := b.newWorld()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	program, err := w.prepareLookups()
	if err != nil {
		return err
	}
	start := func(observers ...string) error {
		args := []string{"start", "--flush=no", "--cgroup", w.Cgroup}
		for _, o := range observers {
			args = append(args, "--observe", o)
		}
		return w.commands(args)
	}
	if err := errors.Join(start("sockets"), w.commands([]string{"rule", "add", "steered.test", "vpn0"})); err != nil {
		return err
	}
	kinds := []struct {
		row        row
		name       string
		with, none []float64
	}{
		{row: row{ID: "libc.steered", What: "getaddrinfo from /etc/hosts, name with a rule"}, name: steeredName},
		{row: row{ID: "libc.plain", What: "getaddrinfo from /etc/hosts, name without"}, name: plainName},
	}
	for range b.libcRounds {
		for i := range kinds {
			k := &kinds[i]
			for _, times := range []*[]float64{&k.none, &k.with} {
				observers := []string{"sockets"}
				if times == &k.with {
					observers = append(observers, "libc")
				}
				if err := start(observers...); err != nil {
					return err
				}
				if err := w.lookUp(program, k.name, b.lookups, times); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range kinds {
		b.report.add(paired(k.row, k.with, k.none))
	}
	return nil
}

// prepareLookups writes the names into the lab's hosts file and compiles the program.
func (w *world) prepareLookups() (string, error) {
	s, err := w.host("")
	if err != nil {
		return "", err
	}
	if err := w.SetHosts(fmt.Sprintf("%v %s\n%v %s\n", s.Addr4, steeredName, s.Addr4, plainName)); err != nil {
		return "", err
	}
	if err := w.SetNSSwitch("files"); err != nil {
		return "", err
	}
	program := filepath.Join(w.Dir, "lookups")
	cmd := exec.Command("gcc", "-O1", "-o", program, "-xc", "-")
	cmd.Stdin = strings.NewReader(lookups)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the look-ups: %w: %s", err, out)
	}
	return program, nil
}

func (w *world) lookUp(program, name string, n int, times *[]float64) error {
	out, err := w.Command(context.Background(), program, name, strconv.Itoa(n)).Output()
	if err != nil {
		return fmt.Errorf("look %s up: %w", name, err)
	}
	ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	*times = append(*times, ns)
	return err
}
