package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/spelling"
)

// watchOptions are the flags of watch.
type watchOptions struct {
	name, process string
	kinds         []string
	all, json     bool
	count         uint64
	duration      time.Duration
}

// eventKinds are all kinds; the last two come only if they are asked for.
var eventKinds = []dataplane.EventKind{
	dataplane.EventLearnt, dataplane.EventSteered, dataplane.EventMarked, dataplane.EventDirect, dataplane.EventBlocked,
	dataplane.EventRefused, dataplane.EventFailed, dataplane.EventLeak, dataplane.EventUnruled, dataplane.EventLeft,
}

func kindNames() []string {
	names := make([]string, len(eventKinds))
	for i, k := range eventKinds {
		names[i] = string(k)
	}
	return names
}

// commLength is how much of its name the kernel keeps of a process, in bytes.
const commLength = 15

// eventFilter says which events are shown.
type eventFilter struct {
	named    func(dataplane.Learnt) bool // nil: all
	kinds    []dataplane.EventKind       // empty: all
	pid      uint32                      // 0: all
	comm     string                      // empty: all
	wantsAll bool                        // a kind is meant that comes only if asked for
}

func (o *watchOptions) filter() (*eventFilter, error) {
	f := &eventFilter{}
	if o.name != "" {
		var err error
		if f.named, err = matching(o.name); err != nil {
			return nil, err
		}
	}
	if o.duration < 0 {
		return nil, usageError{fmt.Errorf("--for %v: give a time such as 10s or 5m", o.duration)}
	}
	if pid, err := strconv.ParseUint(o.process, 10, 31); err == nil && pid > 0 {
		f.pid = uint32(pid)
	} else {
		f.comm = o.process[:min(len(o.process), commLength)]
	}
	for _, word := range o.kinds {
		k := dataplane.EventKind(strings.ToLower(strings.TrimSpace(word)))
		if !slices.Contains(eventKinds, k) {
			return nil, unknownKind(word)
		}
		f.kinds = append(f.kinds, k)
		f.wantsAll = f.wantsAll || k == dataplane.EventUnruled || k == dataplane.EventLeft
	}
	return f, nil
}

// unknownKind names the kind that may be meant, or all.
func unknownKind(word string) error {
	near := slices.MinFunc(kindNames(), func(a, b string) int {
		return spelling.Distance(word, a) - spelling.Distance(word, b)
	})
	if spelling.Distance(word, near) <= len(near)/3 {
		return usageError{fmt.Errorf("no kind of event %q; did you mean: --kind %s", word, near)}
	}
	return usageError{fmt.Errorf("no kind of event %q; there are %s", word, strings.Join(kindNames(), ", "))}
}

func (f *eventFilter) wants(e *dataplane.Event) bool {
	switch {
	case f.pid != 0 && e.PID != f.pid, f.comm != "" && e.Comm != f.comm:
		return false
	case len(f.kinds) > 0 && !slices.Contains(f.kinds, e.Kind):
		return false
	}
	return f.named == nil || f.named(dataplane.Learnt{Address: e.Address, Name: e.Name})
}
