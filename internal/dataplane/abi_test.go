package dataplane

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// TestConstants compares what is written down twice, here and in bpf/.
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		file, define string
		want         uint64
	}{
		{"abi.h", `LAYOUT = (\d+),`, layout},
		{"abi.h", `MAX_TARGETS = (\d+),`, maxTargets},
		{"abi.h", `OBSERVE_SOCKETS = (\d+)`, observeSockets},
		{"abi.h", `OBSERVE_TC = (\d+)`, observeTC},
		{"abi.h", `OBSERVE_LIBC = (\d+)`, observeLibc},
		{"abi.h", `OBSERVE_TC_ALL = (\d+)`, observeTCAll},
		{"abi.h", `MAX_CHOICES = (\d+),`, ruleset.MaxChoices},
		{"abi.h", `MAX_DEPTH = (\d+),`, ruleset.MaxDepth},
		{"abi.h", `WATCHERS = (\d+),`, MaxWatchers},
		{"abi.h", `WATCHERS_ALL (\d+)`, watchersAll},
		{"abi.h", `OTHER_RULE 0x(4)0000000u`, otherRule >> 28},
		{"abi.h", `IF_USER = (\d+)`, ifUser},
		{"abi.h", `IF_CGROUP = (\d+)`, ifCgroup},
		{"judge.h", `ANCESTORS (\d+)`, Ancestors},
		{"evidence.h", `GRACE \((\d+) \* SECOND\)`, uint64(grace / time.Second)},
	} {
		text, err := os.ReadFile("../../bpf/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(c.define).FindSubmatch(text)
		if m == nil {
			t.Errorf("%s: no %s", c.file, c.define)
			continue
		}
		got, err := strconv.ParseUint(string(m[1]), 10, 64)
		if err != nil || got != c.want {
			t.Errorf("%s: %s is %d (%v), here it is %d", c.file, c.define, got, err, c.want)
		}
	}
}

// TestCountersExplained wants every counter in docs/counters.md, and no other.
func TestCountersExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\S").FindAllSubmatch(text, -1) {
		explained[string(m[1])] = true
	}
	names, err := counterNames()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != int(learnCounterCOUNTERS) {
		t.Errorf("%d counters have names, there are %d", len(names), learnCounterCOUNTERS)
	}
	for _, name := range names {
		if !explained[name] {
			t.Errorf("%s is not explained", name)
		}
		delete(explained, name)
	}
	for name := range explained {
		t.Errorf("%s is explained, but there is none", name)
	}
}
