package explain

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// says runs explain and wants words in what it says.
func says(t *testing.T, h *harness.Host, code int, words []string, args ...string) string {
	t.Helper()
	r := h.Run(append([]string{"explain"}, args...)...)
	said := strings.Join(strings.Fields(r.Stdout), " ")
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("explain %v does not say %q:\n%s%s", args, w, r.Stdout, r.Stderr)
		}
	}
	if r.Code != code {
		t.Errorf("explain %v: exit %d, want %d\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// What nobody steers is said: nothing started, other namespaces, outside of the cgroup, and who has ended.
func TestNotSteered(t *testing.T) {
	s := newSite(t, map[string]string{"config.yaml": "rules: [{match: a.test, target: vpn0}]\n"})
	off := s.explain(1, "www.a.test")
	for _, words := range []string{"www.a.test -> not steered: domain-route is not started", "a.test -> vpn0", "/mnt/config.yaml:1", "domain-route start"} {
		if !strings.Contains(off, words) {
			t.Errorf("not started: no %q in\n%s", words, off)
		}
	}
	if off := s.explain(1, "b.test"); !strings.Contains(off, "no rule of the configuration") {
		t.Errorf("not started, no rule:\n%s", off)
	}
	s.start()
	check(t, os.Chmod(dir+"/config.yaml", 0o666)) // anybody may write it: not to be believed
	unread := strings.Join(strings.Fields(s.explain(0, "a.test")), " ")
	if !strings.Contains(unread, "a.test -> vpn0 where from is not known") || !strings.Contains(unread, "note the configuration cannot be read: ") || !strings.Contains(unread, "config.yaml") {
		t.Errorf("an unreadable configuration:\n%s", unread)
	}
	outside := s.MustAgent(lab.AgentOptions{UID: alice, OutsideCgroup: true})
	says(t, s.Host, 1, []string{"a.test -> left alone: process", "is outside of the cgroup that is steered"}, "a.test", "--process", fmt.Sprint(outside.PID))
	other := s.MustAgent(lab.AgentOptions{UID: alice, NS: s.Internet})
	says(t, s.Host, 1, []string{"a.test -> left alone: process", "is in another network namespace"}, "a.test", "--process", fmt.Sprint(other.PID))
	ended := exec.Command("/bin/true")
	check(t, ended.Run())
	for args, words := range map[string]string{
		fmt.Sprintf("a.test --process %d", ended.ProcessState.Pid()): "there is no process",
		"a.test --user nobody-has-this-name":                         "no user nobody-has-this-name in /etc/passwd",
		"a.test --user 7 --process 1":                                "has its user already",
		"a.test --process x":                                         "invalid argument",
		"--process 4711":                                             "which name? domain-route explain example.com --process 4711",
		"":                                                           "wrong number of arguments",
	} {
		if r := s.Run(append([]string{"explain"}, strings.Fields(args)...)...); r.Code != 2 || !strings.Contains(r.Stderr, words) || r.Stdout != "" {
			t.Errorf("explain %s: exit %d, %q", args, r.Code, r.Stderr)
		}
	}
}

// Addresses of one name that go different ways are counted in the answer, and named.
func TestDiffers(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	one, two := h.MustHost(), h.MustHost("other.test")
	h.DNS.Set("name.test", one.Addr4, two.Addr4, one.Addr6)
	h.Must("rule", "add", "other.test", "vpn0")
	check(t, via.Learn(a, "name.test", "other.test"))
	says(t, h, 1, []string{"name.test -> differs, 3 addresses: 2 direct; 1 vpn0 (ifindex", "up): " + two.Addr4.String(),
		two.Addr4.String() + " -> vpn0, by the name other.test", "CONFLICT"}, "name.test", "--process", fmt.Sprint(a.PID))
	h.Must("rule", "add", "name.test", "vpn0")
	says(t, h, 0, []string{"name.test -> vpn0 (ifindex"}, "name.test", "--process", fmt.Sprint(a.PID))
	wantOwn(t, h, a)
}

// How long a name counts still is said, and what is known of one whose text is gone.
func TestAges(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("name.test")
	h.DNS.SetTTL(0)
	h.Must("rule", "add", "name.test", "vpn0")
	check(t, via.Learn(a, "name.test"))
	says(t, h, 0, []string{"learnt by the host (root or a service) 0 s ago, TTL over since 0 s, still counts for 59 min; decides"}, "name.test", "--user", fmt.Sprint(alice))
	for _, name := range []string{"names_ruled", "names_plain"} {
		m := pinned(t, name)
		var hash uint64
		var hashes []uint64
		it := m.Iterate()
		for value := make([]byte, m.ValueSize()); it.Next(&hash, &value); {
			hashes = append(hashes, hash)
		}
		for _, hash := range hashes {
			check(t, m.Delete(hash))
		}
	}
	says(t, h, 0, []string{"-> vpn0 (ifindex", "that of a name whose text was evicted -> vpn0", "a name whose text was evicted (-> vpn0)"}, server.Addr4.String())
}

// wantOwn checks that a name that leads to the host itself is left alone, as connect does, also by decision.
func wantOwn(t *testing.T, h *harness.Host, a *lab.Agent) {
	t.Helper()
	h.DNS.Set("own.test", h.Uplink("vpn0").Addr4)
	h.Must("rule", "add", "own.test", "vpn0")
	_, err := a.Resolve(lab.Query{Name: "own.test"})
	check(t, err)
	var got struct {
		Decisions []struct {
			Name, Verdict, Interface string
			Own                      bool
		}
	}
	h.JSON(&got, "decision")
	seen := false
	for _, d := range got.Decisions {
		seen = seen || d.Name == "own.test"
		if d.Name == "own.test" && (d.Verdict != "direct" || d.Interface != "" || !d.Own) {
			t.Errorf("%+v", d)
		}
	}
	if out := h.Must("decision"); !seen || !strings.Contains(out, "direct (own address)") {
		t.Errorf("%s", out)
	}
	says(t, h, 1, []string{"own.test -> left alone (an address of this host)"}, "own.test", "--process", fmt.Sprint(a.PID))
}

func pinned(t *testing.T, name string) *ebpf.Map {
	t.Helper()
	m, err := ebpf.LoadPinnedMap("/sys/fs/bpf/domain-route/live/maps/"+name, nil)
	check(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// inForce is the map of the rules in force.
func inForce(t *testing.T) *ebpf.Map {
	t.Helper()
	outer := pinned(t, "rules")
	for slot := range uint32(2) {
		var inner *ebpf.Map
		if err := outer.Lookup(slot, &inner); err == nil {
			t.Cleanup(func() { inner.Close() })
			return inner
		}
	}
	t.Fatal("no rules in force")
	return nil
}

// Where the kernel's maps are not what the rules say, that is told first, the answer is where packets go, and the exit is 1.
func TestDisagreement(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	server := h.MustHost("name.test", "kept.test")
	h.Must("rule", "add", "name.test", "vpn0")
	h.Must("rule", "add", "gone.test", "lte0")
	ask := func() []string { return []string{"name.test", "--process", fmt.Sprint(a.PID)} }
	wantVia := func(want string) {
		t.Helper()
		if out := via.Out(h.Lab, a, via.TCP4, server); out != want {
			t.Errorf("a connect goes to %s, want %s", out, want)
		}
	}
	check(t, via.Learn(a, "name.test"))
	says(t, h, 0, []string{"kernel agrees"}, ask()...)

	hints := pinned(t, "hints")
	before, err := hints.LookupBytes(uint32(0))
	check(t, err)
	check(t, hints.Put(uint32(0), make([]byte, len(before))))
	wantVia("wan0")
	says(t, h, 1, []string{"name.test -> direct", "DISAGREE", "its bit among the hints is not set", "apply -f FILE"}, ask()...)
	check(t, hints.Put(uint32(0), before))
	wantVia("vpn0")

	targets := pinned(t, "targets")
	raw, err := targets.LookupBytes(uint32(1))
	check(t, err)
	damaged := append([]byte{}, raw...)
	damaged[0], damaged[2] = 3, 0 // TARGET_BLOCK, without a chain
	check(t, targets.Put(uint32(1), damaged))
	wantVia("EHOSTUNREACH")
	says(t, h, 1, []string{"name.test -> blocked", "DISAGREE " + "name.test: the rules say vpn0, the kernel's maps"}, ask()...)
	says(t, h, 1, []string{server.Addr4.String() + " -> blocked", "DISAGREE"}, server.Addr4.String(), "--process", fmt.Sprint(a.PID))
	check(t, targets.Put(uint32(1), raw))
	wantVia("vpn0")

	rules := inForce(t)
	var hash uint64
	for it, value := rules.Iterate(), make([]byte, rules.ValueSize()); it.Next(&hash, &value); {
		check(t, rules.Put(hash, make([]byte, rules.ValueSize())))
	}
	says(t, h, 1, []string{"DISAGREE name.test: the rules say vpn0, the kernel's maps nothing", "kept with the learnt name name.test is not what its rule says"}, ask()...)
	wantVia("vpn0") // as it was matched when it was learnt
	h.Must("flush")
	check(t, via.Learn(a, "name.test"))
	wantVia("wan0")
	says(t, h, 1, []string{"name.test -> direct", "DISAGREE"}, ask()...)
	says(t, h, 1, []string{"name.test -> direct", "DISAGREE", server.Addr4.String() + ": the rules say vpn0, the kernel's maps nothing"}, "name.test", "--user", fmt.Sprint(alice))
	out := says(t, h, 1, nil, append(ask(), "-o", "json")...)
	if !strings.Contains(out, `"disagreements": [`) || !strings.Contains(out, `"steered": false`) {
		t.Errorf("%s", out)
	}

	// The cure that is told.
	file := h.Dir + "/rules.txt"
	check(t, os.WriteFile(file, []byte(h.Must("rule", "list")), 0o600))
	h.Must("stop")
	h.Must("start", "--cgroup", h.Cgroup, "--flush=no")
	h.Must("apply", "-f", file)
	check(t, via.Learn(a, "name.test"))
	says(t, h, 0, []string{"kernel agrees"}, ask()...)
}

// A shell asks for parent.test by itself; a child of it tells its number, waits to be told, and connects.
const parentAndChild = `exec 3<>/dev/udp/$1/53
printf '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06parent\x04test\x00\x00\x01\x00\x01' >&3
read -r -t 5 -N 1 -u 3 _
(echo $BASHPID; read -r _; exec 4<>/dev/tcp/$2/7000; read -r line <&4; echo "$line") <&0 &
wait`

// What a parent asked counts for its child, which is said.
func TestParent(t *testing.T) {
	h := harness.Started(t)
	server := h.MustHost("parent.test")
	h.Must("rule", "add", "parent.test", "vpn0")
	cmd := h.Command(t.Context(), "/bin/bash", "-c", parentAndChild, "bash", h.DNS.Addr4.String(), server.Addr4.String()).AsUser(alice)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("no child")
	}
	child := lines.Text()
	says(t, h, 0, []string{"parent.test -> vpn0 (ifindex", fmt.Sprintf("learnt by its parent %d (bash) 0 s ago", cmd.Process.Pid)}, "parent.test", "--process", child)
	_, err = fmt.Fprintln(in)
	check(t, err)
	if !lines.Scan() || lines.Text() != h.Uplink("vpn0").Addr4.String() {
		t.Errorf("the child's connection comes from %q", lines.Text())
	}
	check(t, cmd.Wait())
}

// An interface without IPv6 is told, and that connections over it fail, which they do.
func TestNoIPv6(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	server := h.MustHost("name.test")
	h.Must("rule", "add", "name.test", "vpn0")
	check(t, via.Learn(a, "name.test"))
	ip := func(args ...string) {
		t.Helper()
		check(t, h.HostCommand(t.Context(), "ip", append([]string{"-6"}, args...)...).Run())
	}
	to := []string{"name.test", "--process", fmt.Sprint(a.PID)}
	ip("addr", "flush", "dev", "vpn0")
	if out := via.Out(h.Lab, a, via.TCP6, server); out != "timeout" {
		t.Errorf("a connect with another interface's address: %s", out)
	}
	says(t, h, 0, []string{"from " + h.Uplink("wan0").Addr6.String() + ", which is no address of vpn0", "no IPv6 address, but an IPv6 route"}, to...)
	ip("route", "del", "default", "dev", "vpn0")
	if out := via.Out(h.Lab, a, via.TCP6, server); out != "ENETUNREACH" {
		t.Errorf("a connect over IPv6: %s", out)
	}
	says(t, h, 0, []string{server.Addr6.String() + " -> vpn0 fails at once: no IPv6 route by vpn0", "no IPv6 address: connections by it over IPv6 fail at once",
		"IPv6 none", server.Addr4.String() + " -> vpn0 from " + h.Uplink("vpn0").Addr4.String()}, to...)
}

// A name without known addresses may have a rule by address, or by default, still; all conditions that there may be are tried.
func TestUnlearnt(t *testing.T) {
	h := harness.Started(t)
	for uid := range 16 {
		h.Must("rule", "add", "many.test", "block", fmt.Sprintf("user=%d", 5000+uid))
	}
	h.Must("rule", "add", "many.test", "vpn0")
	says(t, h, 0, []string{"many.test -> vpn0 (ifindex", "kernel agrees"}, "many.test", "--user", fmt.Sprint(alice))
	says(t, h, 1, []string{"many.test -> blocked", "kernel agrees"}, "many.test", "--user", "5015")
	says(t, h, 1, []string{"other.test -> direct (no rule) for", "no address: nobody asked for the name lately, as far as was seen kernel"}, "other.test")
	h.Must("rule", "add", "default", "vpn0")
	says(t, h, 0, []string{"other.test -> vpn0 (ifindex", "by the default rule, unless its address is private for"}, "other.test")
	h.Must("rule", "add", "192.0.2.0/24", "block")
	says(t, h, 0, []string{"by the default rule, unless its address is private or has a rule for"}, "other.test")
	h.Must("rule", "del", "default")
	says(t, h, 1, []string{"other.test -> direct (no rule), unless its address has a rule for"}, "other.test")
	server := h.MustHost("known.test")
	h.Must("rule", "add", "known.test", "vpn0")
	for range 2 {
		_, err := h.MustAgent(lab.AgentOptions{}).Resolve(lab.Query{Name: "known.test"})
		check(t, err)
	}
	says(t, h, 0, []string{"2 processes learnt it for themselves alone (--process PID)"}, "known.test", "--user", fmt.Sprint(alice))
	outside := h.MustAgent(lab.AgentOptions{UID: alice, OutsideCgroup: true})
	says(t, h, 1, []string{"learnt " + server.Addr4.String() + " -> left alone known.test"}, "known.test", "--process", fmt.Sprint(outside.PID))
	if out := says(t, h, 1, []string{"left alone"}, "many.test", "--process", fmt.Sprint(outside.PID)); strings.Contains(out, "Who asks now is seen") {
		t.Errorf("nothing of it is seen:\n%s", out)
	}
	for _, args := range [][]string{{"--user", ""}, {"--process", "0"}, {"--user", "0", "--process", "1"}, {"--user", "nobody-of-that-name"}} {
		says(t, h, 2, nil, append([]string{"many.test"}, args...)...)
	}
}

// That answers hardly come is told in the first line: no IPv4 route, or what is strict about where they come from.
func TestNoAnswers(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	h.MustHost("name.test")
	h.Must("rule", "add", "name.test", "vpn0")
	_, err := a.Resolve(lab.Query{Name: "name.test"})
	check(t, err)
	to := []string{"name.test", "--process", fmt.Sprint(a.PID)}
	strict := func(name, value string) {
		t.Helper()
		check(t, h.HostCommand(t.Context(), "sysctl", "-qw", "net.ipv4.conf."+name+".rp_filter="+value).Run())
	}
	strict("vpn0", "1")
	strict("wan0", "1")
	says(t, h, 0, []string{"up); answers are dropped: rp_filter for", "rp_filter is 1: the kernel drops IPv4 answers"}, to...)
	h.Must("rule", "add", "name.test", "wan0")
	if out := says(t, h, 0, []string{"name.test -> wan0 (ifindex"}, to...); strings.Contains(out, "rp_filter") {
		t.Errorf("answers by wan0 come:\n%s", out)
	}
	h.Must("rule", "add", "name.test", "vpn0")
	check(t, h.HostCommand(t.Context(), "ip", "route", "del", "default", "dev", "vpn0").Run())
	says(t, h, 0, []string{"up); likely unanswered: no route for", "likely unanswered: no IPv4 route by vpn0, so it is taken for a neighbour",
		"only its own network can be reached: ip route add default via GATEWAY dev vpn0 metric 9999"}, to...)
}
