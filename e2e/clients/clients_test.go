package clients

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/internal/lab"
)

// rounds is how many names with a rule, and how many without, each client visits in each family.
const rounds = 100

var echo = strconv.Itoa(lab.EchoPort)

// client is one way of visiting names.
type client struct {
	name string
	// make builds or finds the program.
	make  func(testing.TB, *kit.Host) kit.Command
	visit func(*testing.T, *kit.Host, kit.Command, kit.Family, []string)
	// rounds it makes in each family, if not as many as others: its processes are slow to start.
	rounds int
	// times that it visits each name: the second time what is learnt already is learnt again.
	times int
}

// together visits all names by one process.
func together(t *testing.T, h *kit.Host, c kit.Command, f kit.Family, names []string) {
	c.Run(t, h, kit.User, append([]string{f.String(), echo}, names...)...)
}

// apart visits each name by a process of its own.
func apart(t *testing.T, h *kit.Host, c kit.Command, f kit.Family, names []string) {
	for _, name := range names {
		together(t, h, c, f, []string{name})
	}
}

// TestClients: every client resolves and connects 100 times by each family, every time to a name and addresses that
// were never heard of before, so that no round is helped by what an earlier one taught.
func TestClients(t *testing.T) {
	h := kit.Start(t)
	knownUser(t, h)
	for _, c := range []client{
		{name: "c-glibc", make: kit.Glibc, visit: together, times: 2},
		{name: "c-glibc-process-each", make: kit.Glibc, visit: apart},
		{name: "c-musl-static", make: kit.Musl, visit: together},
		{name: "c-musl-static-process-each", make: kit.Musl, visit: apart},
		{name: "go", make: kit.Go, visit: together, times: 2},
		{name: "go-process-each", make: kit.Go, visit: apart},
		{name: "python-getaddrinfo", make: kit.Python, visit: together},
		{name: "python-process-each", make: kit.Python, visit: apart, rounds: 25},
		{name: "curl", make: findCurl, visit: visitByCurl},
		{name: "ssh", make: findSSH, visit: visitBySSH},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := c.make(t, h)
			all := kit.MakeRounds(h, cmp.Or(c.rounds, rounds), c.name)
			for _, f := range []kit.Family{kit.IPv4, kit.IPv6} {
				t.Run(fmt.Sprintf("ipv%d", f), func(t *testing.T) { c.round(t, h, command, all, f) })
			}
		})
	}
}

// TestClientsChoose: programs that are told no family ask for both at once, and take the one there is, or choose.
func TestClientsChoose(t *testing.T) {
	h := kit.Start(t)
	for _, c := range []client{
		{name: "c-glibc", make: kit.Glibc},
		{name: "c-musl-static", make: kit.Musl},
		{name: "go", make: kit.Go},
		{name: "python-create_connection", make: kit.Python},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.visit = together
			command := c.make(t, h)
			for _, f := range []kit.Family{kit.IPv4, kit.IPv6, kit.Any} {
				families := []kit.Family{f}
				if f == kit.Any {
					families = nil
				}
				all := kit.MakeRounds(h, rounds, fmt.Sprint(c.name, f), families...)
				t.Run(fmt.Sprintf("addresses%d", f), func(t *testing.T) { c.round(t, h, command, all, kit.Any) })
			}
		})
	}
}

// round visits all names and judges.
func (c client) round(t *testing.T, h *kit.Host, command kit.Command, all kit.Rounds, f kit.Family) {
	h.ResetHits()
	h.DNS.ResetQuestions()
	times := max(c.times, 1)
	c.visit(t, h, command, f, slices.Repeat(all.Names(), times))
	all.Asked(t, h, times)
	all.Judge(t, h, f, times)
}

func findCurl(t testing.TB, _ *kit.Host) kit.Command {
	return kit.Command{kit.Tool(t, "curl"), "-q", "-sS", "--max-time", "5"}
}

func visitByCurl(t *testing.T, h *kit.Host, c kit.Command, f kit.Family, names []string) {
	for _, name := range names {
		if out := c.Run(t, h, kit.User, "-"+f.String(), "http://"+name+"/"); strings.TrimSpace(out) == "" {
			t.Errorf("curl %s: no answer", name)
		}
	}
}

// knownUser makes the user's number have a name, without which ssh does not run.
func knownUser(t *testing.T, h *kit.Host) {
	t.Helper()
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("lab-user:x:%[1]d:%[1]d::/nonexistent:/bin/sh\n", kit.User)
	if err := h.SetFile("/etc/passwd", string(text)+line); err != nil {
		t.Fatal(err)
	}
}
