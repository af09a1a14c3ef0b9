// Package script runs user stories, with exact output, in labs.
package script

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// TestScripts runs the user stories in testdata, each in a lab of its own, with exact output. Besides testscript's own
// commands there are:
//
//	domain-route ARG...       the program, in the client
//	exits CODE ARG...         the same, which must exit with CODE
//	resolve NAME...           an agent of root asks the name server
//	connect NAME              the same agent connects by TCP over IPv4; prints the uplink it left by, or the error
//	uplink delete|create|add NAME, uplink rename FROM TO
//	load FILE                 rule add for each line
func TestScripts(t *testing.T) {
	testscript.RunT(serial{t}, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"domain-route": cmdDomainRoute,
			"exits":        cmdExits,
			"resolve":      cmdResolve,
			"connect":      cmdConnect,
			"uplink":       cmdUplink,
			"load":         cmdLoad,
		},
	})
}

// serial runs scripts one after the other: there is one bpffs.
type serial struct{ *testing.T }

func (s serial) Parallel()     {}
func (s serial) Verbose() bool { return testing.Verbose() }
func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// stage is what a script plays on.
type stage struct {
	*harness.Host
	agent   *lab.Agent
	servers map[string]lab.Host
}

type stageKey struct{}

func setupScript(env *testscript.Env) error {
	t := env.T().(serial)
	h := harness.New(t, lab.Options{})
	s := &stage{h, h.MustAgent(lab.AgentOptions{}), map[string]lab.Host{}}
	for i, name := range []string{"example.com", "www.example.com", "www.example.org"} {
		s.servers[name] = h.MustHost(name)
		env.Setenv(fmt.Sprintf("SERVER%d", i), s.servers[name].Addr4.String())
	}
	env.Setenv("CGROUP", h.Cgroup)
	env.Setenv("VPN0", strconv.Itoa(h.Uplink("vpn0").Index))
	env.Values[stageKey{}] = s
	return nil
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

func run(ts *testscript.TestScript, args []string) int {
	r := stageOf(ts).Run(args...)
	fmt.Fprint(ts.Stdout(), r.Stdout)
	fmt.Fprint(ts.Stderr(), r.Stderr)
	return r.Code
}

func cmdDomainRoute(ts *testscript.TestScript, neg bool, args []string) {
	if code := run(ts, args); (code != 0) != neg {
		ts.Fatalf("domain-route exits %d", code)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	if code := run(ts, args[1:]); strconv.Itoa(code) != args[0] {
		ts.Fatalf("domain-route exits %d, want %s", code, args[0])
	}
}

func cmdResolve(ts *testscript.TestScript, neg bool, args []string) {
	if err := via.Learn(stageOf(ts).agent, args...); (err != nil) != neg {
		ts.Fatalf("resolve: %v", err)
	}
}

func cmdConnect(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	server, ok := s.servers[args[0]]
	if !ok {
		ts.Fatalf("no server %s", args[0])
	}
	fmt.Fprintln(ts.Stdout(), via.Out(s.Lab, s.agent, via.TCP4, server, "lte0"))
}

func cmdUplink(ts *testscript.TestScript, _ bool, args []string) {
	s := stageOf(ts)
	switch {
	case args[0] == "delete":
		ts.Check(s.DeleteUplink(args[1]))
	case args[0] == "create":
		ts.Check(s.CreateUplink(args[1]))
	case args[0] == "add":
		ts.Check(s.AddUplink(args[1], lab.UplinkOptions{}))
	case args[0] == "rename" && len(args) == 3:
		ts.Check(s.RenameUplink(args[1], args[2]))
	default:
		ts.Fatalf("no such thing: uplink %v", args)
	}
}

func cmdLoad(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if code := run(ts, append([]string{"rule", "add"}, strings.Fields(line)...)); code != 0 {
			ts.Fatalf("rule add %s: exit %d", line, code)
		}
	}
}
