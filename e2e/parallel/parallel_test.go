package parallel

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	// together is how many commands run at once.
	together = 64
	// rounds is how often they do, envRounds gives another number: 1000 take half an hour.
	rounds    = 10
	envRounds = "DOMAIN_ROUTE_ROUNDS"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// keys are the rules that all commands fight over: few, so that they meet.
var keys = []string{"a.test", "*.a.test", "=a.test", "www.a.test", "b.test", "c.test", "d.test", "default", "192.0.2.0/24", "a.test user=1000"}

// 64 commands at once, rule add, del and list, again and again: what each said and what is there in the end can have
// come about one after the other, and none gave up waiting for its turn.
func TestSerialOrder(t *testing.T) {
	n := rounds
	if text := os.Getenv(envRounds); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	h := harness.Started(t)
	table := map[string]string{}
	kinds := map[string]int{}
	var longest, all time.Duration
	began := time.Now()
	for round := range n {
		did := salvo(t, h, round)
		last := ask(h, "", "rule", "list")
		did = append(did, last)
		var history []operation
		for _, d := range did {
			longest, all = max(longest, d.ended-d.began), all+d.ended-d.began
			kinds[d.kind()]++
			if d.err != nil {
				t.Errorf("round %d: %s, after %v: %v", round, d.text, d.ended-d.began, d.err)
			}
			history = append(history, d.operation)
		}
		if t.Failed() {
			return
		}
		if err := explain(table, history); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		table = last.seen
	}
	t.Logf("%d rounds of %d commands in %v: the longest wait %v, the mean %v; %v", n, together, time.Since(began).Round(time.Second),
		longest.Round(time.Millisecond), (all / time.Duration(n*(together+1))).Round(time.Millisecond), kinds)
	for _, kind := range []string{"list", "add", "replace", "delete", "delete of nothing"} {
		if kinds[kind] < n {
			t.Errorf("only %d times %s in %d rounds: they hardly met", kinds[kind], kind, n)
		}
	}
}

// done is a command that ran.
type done struct {
	operation
	err error
}

func (d done) kind() string {
	switch {
	case d.seen != nil:
		return "list"
	case d.set == "" && d.was == "":
		return "delete of nothing"
	case d.set == "":
		return "delete"
	case d.was == "":
		return "add"
	}
	return "replace"
}

// salvo runs a round's commands at once. The dice are the round's, so that it can be run again.
func salvo(t *testing.T, h *harness.Host, round int) []done {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(round), 3))
	did := make([]done, together)
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i := range did {
		key := keys[r.IntN(len(keys))]
		pattern, condition, _ := strings.Cut(key, " ")
		command := []string{"rule", "add", pattern, fmt.Sprintf("t%dx%d", round, i)}
		switch r.IntN(4) {
		case 0:
			command = []string{"rule", "del", pattern}
		case 1:
			command = []string{"rule", "list"}
		}
		if condition != "" && command[1] != "list" {
			command = append(command, condition)
		}
		all.Go(func() {
			<-gate
			did[i] = ask(h, key, command...)
		})
	}
	close(gate)
	all.Wait()
	return did
}

// clock is where the times of operations count from; it only goes forward.
var clock = time.Now()

// ask runs a command and reads what it says that it found and did.
func ask(h *harness.Host, key string, command ...string) done {
	d := done{operation: operation{text: strings.Join(command, " "), began: time.Since(clock)}}
	list := command[1] == "list"
	if !list {
		command = append(command, "-o", "json")
	}
	r := h.Run(command...)
	d.ended = time.Since(clock)
	if list {
		d.seen, d.err = readList(r)
		return d
	}
	d.key = key
	var out struct {
		Data struct {
			Target, Replaced string
			Deleted          bool
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil || r.Code > 1 {
		d.err = fmt.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
		return d
	}
	switch said := out.Data; {
	case command[1] == "add":
		d.was, d.set = said.Replaced, said.Target
	case said.Deleted:
		d.was = said.Target
	}
	if (d.kind() == "delete of nothing") != (r.Code == 1) {
		d.err = fmt.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	d.text += fmt.Sprintf(" (was %q, is %q)", d.was, d.set)
	return d
}

// readList reads lines of PATTERN TARGET and perhaps a condition.
func readList(r harness.Result) (map[string]string, error) {
	if r.Code != 0 {
		return nil, fmt.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	table := map[string]string{}
	for line := range strings.Lines(r.Stdout) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		table[strings.Join(append(f[:1:1], f[2:]...), " ")] = f[1]
	}
	return table, nil
}
