package warm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/domain-route/domain-route/internal/pattern"
)

// lookUp asks the host's resolver for the names of the rules, and teaches the answers: the programs in the kernel see
// them only if this process is among those they watch.
func (o Options) lookUp(whole context.Context) Step {
	ctx, cancel := context.WithTimeout(whole, lookUpTime)
	defer cancel()
	choice, err := within(ctx, o.Names)
	switch {
	case err != nil:
		return Step{stepLookUp, "the rules' names were not looked up", err.Error()}
	case len(choice.Names) == 0 && choice.LeftOut > 0:
		return Step{stepLookUp, fmt.Sprintf("none: of %s none stands in the configuration's own files, and more than %d are not looked up",
			counted(choice.LeftOut, "name"), lookUpMost), ""}
	case len(choice.Names) == 0:
		return Step{stepLookUp, "no rule has a name to look up", ""}
	}
	t := lookUpAll(ctx, choice.Names, ask)
	result := fmt.Sprintf("%s: %d answered, %d without an address, %d failed", counted(len(choice.Names), "name"), len(t.facts), t.empty, t.failed)
	if choice.LeftOut > 0 {
		result += fmt.Sprintf("; %d more left out", choice.LeftOut)
	}
	step := Step{stepLookUp, result, ""}
	if t.err != nil {
		step.Error = "those are known once they are asked for; the last failure: " + t.err.Error()
	}
	// What came at the last moment is taught, too.
	if err := o.teach(whole, t.facts); err != nil {
		step.Error = "the answers are not all learnt: " + err.Error()
	}
	return step
}

// tally is what became of all look-ups.
type tally struct {
	facts  []Fact
	empty  int   // names that do not exist or have no address
	failed int   // no answer
	err    error // of one of those
}

// lookUpAll asks for all names, some at a time.
func lookUpAll(ctx context.Context, names []pattern.Name, ask func(context.Context, string) ([]netip.Addr, error)) tally {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	answers := make([]answer, len(names))
	next := make(chan int, len(names))
	for i := range names {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(lookUpsOnce, len(names)) {
		wg.Go(func() {
			for i := range next {
				addrs, err := ask(ctx, names[i].String()+".")
				answers[i] = answer{teachable(addrs), err}
			}
		})
	}
	wg.Wait()
	var t tally
	for i, a := range answers {
		var none *net.DNSError
		switch {
		case errors.As(a.err, &none) && none.IsNotFound, a.err == nil && len(a.addrs) == 0:
			t.empty++
		case a.err != nil:
			t.failed++
			t.err = a.err
		default:
			t.facts = append(t.facts, Fact{names[i], a.addrs, lookUpTTL})
		}
	}
	return t
}

// ask asks the resolver of resolv.conf for an absolute name.
func ask(ctx context.Context, name string) ([]netip.Addr, error) {
	if strings.Contains(name, `\`) {
		return nil, fmt.Errorf("%s is no host's name", name)
	}
	return (&net.Resolver{PreferGo: true}).LookupNetIP(ctx, "ip", name)
}
