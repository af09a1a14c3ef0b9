package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// usage is what one process took.
type usage struct {
	wall, cpu float64 // seconds
	peak      float64 // MB of memory; of a process much smaller than this one it would tell this one's
}

// measured runs domain-route with the book's cache, without keeping what it prints.
func (w *world) measured(book *ruleBook, args ...string) (usage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := w.HostCommand(ctx, w.bin, args...)
	cmd.Env = append(os.Environ(), "CACHE_DIRECTORY="+book.cache())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(began).Seconds()}
	if err != nil {
		return u, fmt.Errorf("domain-route %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	u.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	u.peak = float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024 / 1e6
	return u, nil
}

// apply puts a configuration in force.
func (w *world) apply(config string) (usage, error) {
	return w.measured(&ruleBook{dir: filepath.Dir(config)}, "apply", "-f", config)
}

// A loading is one way in which a large configuration comes to be in force.
type loading struct {
	id, what string
	limit    *limit
	prepare  func() error
	args     []string
	took     []usage
}

// measureLoad takes the time and the memory that a large configuration takes: read from its list, plain or compressed, by
// way of the cache, at boot. Before each a small one is in force.
func (b *bench) measureLoad() error {
	w, err := b.newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	few, many := b.rules[0], b.rules[len(b.rules)-1]
	book, err := w.writeRules([]int{few, many})
	if err != nil {
		return err
	}
	start := []string{"start", "--cgroup", w.Cgroup}
	if _, err := w.command(append(start, "--config", book.config(few, false))...); err != nil {
		return err
	}
	small := func() error { _, err := w.apply(book.config(few, false)); return err }
	noCache := func() error { return firstError(small, book.emptyCache) }
	stopped := func() error { _, err := w.command("stop"); return err }
	config := []string{"--config", book.config(many, false)}
	loads := []*loading{
		{id: "rules.load", what: "apply -f, a plain list", prepare: small, args: []string{"apply", "-f", config[1]}, limit: atMost(3)},
		{id: "rules.load.gzip", what: "apply -f, a list in gzip", prepare: small, args: []string{"apply", "-f", book.config(many, true)}},
		{id: "rules.load.first", what: "apply, no cache yet: written, too", prepare: noCache, args: append([]string{"apply"}, config...)},
		{id: "rules.load.cached", what: "apply, by the cache", prepare: small, args: append([]string{"apply"}, config...)},
		{id: "rules.load.same", what: "apply, nothing to change", args: append([]string{"apply"}, config...)},
		{id: "rules.load.boot", what: "start, by the cache", prepare: stopped, args: append(start, config...)},
	}
	for range b.loadRounds {
		for _, l := range loads {
			if err := l.once(w, book); err != nil {
				return fmt.Errorf("%s: %w", l.what, err)
			}
		}
	}
	b.reportLoads(loads, many)
	return nil
}

func (l *loading) once(w *world, book *ruleBook) error {
	if l.prepare != nil {
		if err := l.prepare(); err != nil {
			return err
		}
	}
	u, err := w.measured(book, l.args...)
	l.took = append(l.took, u)
	return err
}

// emptyCache removes what is in the cache.
func (k *ruleBook) emptyCache() error {
	if err := os.RemoveAll(k.cache()); err != nil {
		return err
	}
	return os.Mkdir(k.cache(), 0o700)
}

func firstError(all ...func() error) error {
	for _, f := range all {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) reportLoads(loads []*loading, size int) {
	var most float64
	which := ""
	for _, l := range loads {
		var wall, cpu []float64
		peak := 0.0
		for _, u := range l.took {
			wall, cpu = append(wall, u.wall), append(cpu, u.cpu)
			peak = max(peak, u.peak)
		}
		if peak > most {
			most, which = peak, l.what
		}
		b.report.add(summary(row{
			ID: l.id, What: fmt.Sprintf("%d names, %s, whole process", size, l.what), Unit: "s", Limit: l.limit,
			Note: fmt.Sprintf("CPU time %.2f s, %.0f MB of the process at most", median(cpu), peak),
		}, wall))
	}
	b.report.add(row{ID: "rules.load.memory", What: "  memory of the process at most", Unit: "MB", Rounds: 1, Value: most, Limit: atMost(300), Note: which})
}
