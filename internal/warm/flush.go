package warm

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A flusher has a cache forget. It returns how it did that.
type flusher struct {
	flush func(context.Context, process) (how string, err error)
	// cure is what a person can do where it fails.
	cure string
}

var flushers = map[string]flusher{
	// Both signals are documented for this; no bus and no tool has to be there.
	resolved: {bySignal(unix.SIGUSR2), "resolvectl flush-caches"},
	dnsmasq:  {bySignal(unix.SIGHUP), "restart dnsmasq"},
	nscd:     {invalidateHosts, "nscd -i hosts"},
	unbound:  {flushUnbound, "restart unbound, or `unbound-control-setup` and `control-enable: yes`"},
}

func bySignal(sig unix.Signal) func(context.Context, process) (string, error) {
	return func(_ context.Context, p process) (string, error) {
		return unix.SignalName(sig), p.signal(sig)
	}
}

// flush has all caches forget, all at once.
func (o Options) flush(ctx context.Context, found caches) []Step {
	if !o.Flush {
		return []Step{{stepFlush, "caches are left alone, as --flush=no says", ""}}
	}
	var refused caches
	var wg sync.WaitGroup
	steps := make([]*Step, 0, len(found))
	for _, p := range found {
		if p.refusal != "" {
			refused = append(refused, p)
			continue
		}
		s := new(Step)
		steps = append(steps, s)
		wg.Go(func() { *s = flushOne(ctx, p) })
	}
	wg.Wait()
	var all []Step
	for _, s := range steps {
		all = append(all, *s)
	}
	all = append(all, refused.leftAlone()...)
	if len(all) == 0 {
		return []Step{{stepFlush, "no resolver that caches was found here", ""}}
	}
	return all
}

func flushOne(ctx context.Context, p process) Step {
	f := flushers[p.program]
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	how, err := within(ctx, func() (string, error) { return f.flush(ctx, p) })
	if err != nil {
		return Step{stepFlush, p.String() + " keeps its cache", fmt.Sprintf("%v; to flush it: %s", err, f.cure)}
	}
	return Step{stepFlush, fmt.Sprintf("%s by %s", p, how), ""}
}

// leftAlone is one line for each program: users may run as many as they like.
func (c caches) leftAlone() []Step {
	var steps []Step
	for _, program := range cachePrograms {
		var first *process
		count := 0
		for _, p := range c {
			if p.program == program {
				count++
				if first == nil {
					first = &p
				}
			}
		}
		if first == nil {
			continue
		}
		text := first.String() + " is left alone"
		if count > 1 {
			text = fmt.Sprintf("%s and %d more are left alone", first, count-1)
		}
		steps = append(steps, Step{stepFlush, text, first.refusal + "; if programs here ask it, restart it"})
	}
	return steps
}
