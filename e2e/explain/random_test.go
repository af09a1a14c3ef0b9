package explain

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// casesEnv has TestWhereItWent try another number of cases, and seedEnv others.
const (
	casesEnv = "DOMAIN_ROUTE_EXPLAIN_CASES"
	seedEnv  = "DOMAIN_ROUTE_EXPLAIN_SEED"
)

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// world is the lab with its names, and the processes that ask and connect.
type world struct {
	*harness.Host
	t      *testing.T
	random *rand.Rand
	names  map[string][]netip.Addr
	agents []*lab.Agent
	unseen *lab.Agent // outside of the cgroup that is steered
	own    netip.Addr
	cgroup string // the lab's, as conditions have it
}

const markTable = 77

func newWorld(t *testing.T, seed int) *world {
	t.Helper()
	w := &world{Host: harness.Started(t), t: t, random: rand.New(rand.NewPCG(uint64(seed), 2)), names: map[string][]netip.Addr{}}
	check(t, w.AddUplink("lte0", lab.UplinkOptions{}))
	w.routeMark(7, "lte0")
	var hosts []lab.Host
	for range 4 {
		hosts = append(hosts, w.MustHost())
	}
	private := netip.MustParseAddr("10.9.9.9")
	check(t, w.AddServerAddr(private))
	w.own = w.Uplink("wan0").Addr4
	for i, name := range []string{"a.test", "x.a.test", "deep.x.a.test", "b.test", "y.b.test", "other.test"} { // each has two of the four
		one, other := hosts[i%4], hosts[(i+1+i/4)%4]
		w.name(name, one.Addr4, other.Addr4, one.Addr6)
	}
	w.name("private.a.test", private)
	w.name("own.b.test", w.own)
	root, err := lab.CgroupRoot()
	check(t, err)
	w.cgroup = strings.TrimPrefix(w.Cgroup, root)
	for _, uid := range []uint32{0, 33, 1001, 1001, 1002} {
		w.agents = append(w.agents, w.MustAgent(lab.AgentOptions{UID: uid}))
	}
	for _, dir := range []string{"in", "in/deeper"} {
		check(t, os.Mkdir(filepath.Join(w.Cgroup, dir), 0o755))
		place, err := os.Open(filepath.Join(w.Cgroup, dir))
		check(t, err)
		defer place.Close()
		w.agents = append(w.agents, w.MustAgent(lab.AgentOptions{UID: 1001, Cgroup: place}))
	}
	w.unseen = w.MustAgent(lab.AgentOptions{UID: 1002, OutsideCgroup: true})
	w.agents = append(w.agents, w.unseen)
	return w
}

func (w *world) name(name string, addrs ...netip.Addr) {
	w.names[name] = addrs
	w.DNS.Set(name, addrs...)
}

// routeMark has marked packets leave by an uplink.
func (w *world) routeMark(mark uint32, by string) {
	u := w.Uplink(by)
	for family, gateway := range map[int]netip.Addr{netlink.FAMILY_V4: u.Gateway4, netlink.FAMILY_V6: u.Gateway6} {
		check(w.t, w.Client.NL.RouteAdd(&netlink.Route{LinkIndex: u.Index, Gw: gateway.AsSlice(), Table: markTable}))
		rule := netlink.NewRule()
		rule.Family, rule.Mark, rule.Table = family, mark, markTable
		check(w.t, w.Client.NL.RuleAdd(rule))
	}
}

func (w *world) of(list []string) string { return list[w.random.IntN(len(list))] }

// newRules puts random rules in force.
func (w *world) newRules() string {
	patterns := []string{"a.test", "*.a.test", "=a.test", "x.a.test", "=x.a.test", "*.x.a.test", "b.test", "*.b.test", "=y.b.test", "test", "=own.b.test",
		"other.test", "198.51.100.0/28", "198.51.100.2", "2001:db8:1::/64", "2001:db8:1::3", "10.9.9.0/24", "private.a.test", "default", "0.0.0.0/0"}
	conditions := []string{"", "", "", "user=1001", "user=33", "user=1002", "cgroup=" + w.cgroup + "/in", "user=1001 cgroup=" + w.cgroup + "/in/deeper",
		"cgroup=" + w.cgroup + "/in/deeper", "user=0", "cgroup=/gone"}
	targets := []string{"vpn0", "lte0", "wan0", "direct", "mark:7", "gone0,lte0", "gone0,direct", "block", "gone0,gone1", "gone0,gone1,vpn0"}
	rules := map[string]string{}
	for range 6 + w.random.IntN(14) {
		rules[w.of(patterns)+" %s "+w.of(conditions)] = w.of(targets)
	}
	text := w.DNS.Addr4.String() + " direct\n" // whatever the default
	for _, key := range slices.Sorted(maps.Keys(rules)) {
		text += fmt.Sprintf(key, rules[key]) + "\n"
	}
	file := filepath.Join(w.Dir, "rules.txt")
	check(w.t, os.WriteFile(file, []byte(text), 0o600))
	w.Must("apply", "-f", file)
	return text
}

// answer is what `explain -o json` says, as far as it is looked at.
type answer struct {
	Answer    string
	Steered   bool
	Verdict   place
	Addresses []struct {
		Address netip.Addr
		Place   place
		Counts  bool
		Unasked *struct{ Place place }
		Route   *struct {
			OK        bool
			Interface string
		}
	}
	Rules []struct {
		Pattern string
		Decides bool
	}
	Disagreements []string
}

type place struct {
	Verdict   string
	Interface string
	Mark      int
}

// explain has all questions answered, some at a time: most of the time is the start of the command.
func (w *world) explain(all []question) {
	w.t.Helper()
	const atOnce = 4
	results := make([]harness.Result, len(all))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
				results[i] = w.Run(all[i].args()...)
			}
		})
	}
	wait.Wait()
	for i, r := range results {
		a := &all[i].answer
		if err := json.Unmarshal([]byte(r.Stdout), &struct{ Data *answer }{a}); err != nil {
			w.t.Fatalf("explain %s: %v, exit %d\n%s", all[i].name, err, r.Code, r.Stderr)
		}
		if a.Steered != (r.Code == 0) || r.Code > 1 || len(a.Disagreements) > 0 {
			w.t.Fatalf("%q: exit %d, steered %v, disagreements %q\n%s", all[i].args(), r.Code, a.Steered, a.Disagreements, r.Stderr)
		}
	}
}

// went connects, sends, and tells where that arrived, and how the socket was held.
func (w *world) went(a *lab.Agent, to netip.Addr) (p place, seen string, err error) {
	kind := "udp4"
	if to.Is6() {
		kind = "udp6"
	}
	s, err := a.Socket(kind)
	if err != nil {
		return p, "", err
	}
	defer s.Close()
	switch err := s.Connect(netip.AddrPortFrom(to, lab.EchoPort)); {
	case errors.Is(err, lab.Errno("EHOSTUNREACH")):
		return place{Verdict: "blocked"}, "", nil
	case errors.Is(err, lab.Errno("ENODEV")):
		return place{Verdict: "no_interface"}, "", nil
	case err != nil:
		return p, "", err
	}
	p.Verdict = "direct"
	var unasked error
	p.Interface, err = s.Device()
	p.Mark, unasked = s.Mark()
	if err := errors.Join(err, unasked); err != nil {
		return p, "", err
	}
	switch {
	case p.Interface != "":
		p.Verdict = "steered"
	case p.Mark != 0:
		p.Verdict = "marked"
	}
	if to == w.own {
		return p, "", nil
	}
	if err := s.Send([]byte("hello")); err != nil {
		return p, "", err
	}
	answer, _, err := s.Recv()
	if err != nil {
		return p, err.Error(), nil
	}
	return p, w.uplinkOf(string(answer)), nil
}

func (w *world) uplinkOf(seen string) string {
	for _, name := range []string{"wan0", "vpn0", "lte0"} {
		if u := w.Uplink(name); seen == u.Addr4.String() || seen == u.Addr6.String() {
			return name
		}
	}
	return seen
}

// arrives is where a server sees what is held so.
func (w *world) arrives(p place, to netip.Addr) string {
	switch {
	case p.Verdict == "steered":
		return p.Interface
	case p.Verdict == "marked" && to != w.own:
		return "lte0"
	case p.Verdict == "direct" && to != w.own:
		return "wan0"
	}
	return ""
}

// question is one case: what a process is told before it connects.
type question struct {
	agent  *lab.Agent
	name   string
	user   string // asked for that, and no process
	answer answer
}

func (q question) args() []string {
	if q.user != "" {
		return []string{"explain", q.name, "--user", q.user, "-o", "json"}
	}
	return []string{"explain", q.name, "--process", fmt.Sprint(q.agent.PID), "-o", "json"}
}

// wants checks that a connect comes to what was said.
func (w *world) wants(q question, to netip.Addr, want place) error {
	got, seen, err := w.went(q.agent, to)
	if err == nil && (got != want || seen != w.arrives(want, to)) {
		err = errors.New("it does not")
	}
	if err != nil {
		return fmt.Errorf("%q: %s\nand %v is said to be %+v, but a connect is %+v and arrives by %q: %w",
			q.args(), q.answer.Answer, to, want, got, seen, err)
	}
	return nil
}

// tried counts the connects that came to what was said.
type tried struct {
	verdicts map[string]int
	connects int
}

func (n *tried) add(verdict string) {
	n.verdicts[verdict]++
	n.connects++
}

// connect checks the answers, the processes at the same time. Nothing is learnt meanwhile.
func (w *world) connect(asked []question, rules string, n *tried) {
	w.t.Helper()
	var wait sync.WaitGroup
	var mu sync.Mutex
	failed := []error{}
	for _, a := range w.agents {
		wait.Go(func() {
			for _, q := range asked {
				for _, at := range q.answer.Addresses {
					if q.agent != a {
						continue
					}
					err := w.wants(q, at.Address, at.Place)
					if by := w.arrives(at.Place, at.Address); at.Route != nil && at.Address != w.own && (!at.Route.OK || at.Route.Interface != by) {
						err = errors.Join(err, fmt.Errorf("explain %s for process %d: %v is said to leave by %+v, and arrives by %s",
							q.name, q.agent.PID, at.Address, *at.Route, by))
					}
					mu.Lock()
					n.add(at.Place.Verdict)
					if err != nil {
						failed = append(failed, err)
					}
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if len(failed) > 0 {
		w.t.Fatalf("%v\nand %d more\nrules:\n%slearnt:\n%s", failed[0], len(failed)-1, rules, w.Must("rdns"))
	}
}

// foretold checks the answers of which nothing is learnt yet, one by one: with each, more is.
func (w *world) foretold(asked []question, rules string, n *tried) {
	w.t.Helper()
	for _, q := range asked {
		if !q.answer.foretold() || q.agent == w.unseen {
			continue
		}
		check(w.t, w.learn(q.agent, q.name))
		for _, to := range w.names[q.name] {
			if to == w.own {
				continue
			}
			if err := w.wants(q, to, q.answer.Verdict); err != nil {
				w.t.Fatalf("%v\nrules:\n%slearnt:\n%s", err, rules, w.Must("rdns"))
			}
			n.add("foretold " + q.answer.Verdict.Verdict)
		}
	}
}

// What explain says of a name for a process is what becomes of that process's connections to it: rules, names and processes
// by chance; who asked, too.
func TestWhereItWent(t *testing.T) {
	seed := number(t, seedEnv, int(time.Now().UnixNano()%1_000_000))
	cases := number(t, casesEnv, 1000)
	t.Logf("%s=%d %s=%d", seedEnv, seed, casesEnv, cases)
	w := newWorld(t, seed)
	names := slices.Sorted(maps.Keys(w.names))
	n := &tried{verdicts: map[string]int{}}
	done := 0
	for round := 0; done < cases; round++ {
		if w.random.IntN(4) == 0 {
			w.Run("flush") // there may be nothing to forget
		}
		for range 6 {
			check(t, w.learn(w.agents[w.random.IntN(len(w.agents))], w.of(names)))
		}
		rules := w.newRules()
		for range 2 {
			check(t, w.learn(w.agents[w.random.IntN(len(w.agents))], w.of(names)))
		}
		var asked []question
		for _, a := range w.agents {
			for _, name := range names {
				if done++; done <= cases {
					asked = append(asked, question{agent: a, name: name})
				}
			}
		}
		w.explain(asked)
		w.connect(asked, rules, n)
		w.foretold(asked, rules, n)
	}
	t.Logf("%d cases, %d connects: %v", cases, n.connects, n.verdicts)
	for _, verdict := range []string{"steered", "marked", "direct", "blocked", "no_interface", "foretold steered"} {
		if cases >= 1000 && n.verdicts[verdict] < 5 {
			t.Errorf("%s: only %d: this proves little", verdict, n.verdicts[verdict])
		}
	}
}

// foretold tells whether the answer is for a name of which nothing is learnt, and that has a rule of its own: then it is what
// will be once the process has asked, whatever else is known.
func (a answer) foretold() bool {
	for _, at := range a.Addresses {
		if at.Counts {
			return false
		}
	}
	for _, r := range a.Rules {
		if r.Decides {
			_, err := netip.ParsePrefix(r.Pattern)
			return r.Pattern != "default" && err != nil
		}
	}
	return false
}

// learn has an agent ask for the addresses that a name has.
func (w *world) learn(a *lab.Agent, name string) error {
	if slices.ContainsFunc(w.names[name], netip.Addr.Is6) {
		return via.Learn(a, name)
	}
	_, err := a.Resolve(lab.Query{Name: name})
	return err
}
