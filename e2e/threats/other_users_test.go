package threats

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	lieNames = 200 // that Alice has answered
	lieEach  = 50  // addresses in an answer, the true ones among them
)

// everybody is what a test of two users has: addresses that Bob and root know in a way, or not at all.
type everybody struct {
	*people
	bank   lab.Host // under the bank's name, which has a rule
	honest lab.Host // under a name without
	nobody lab.Host // nobody but Alice has heard of it
	hers   lab.Host // Alice's name server
}

func newEverybody(t *testing.T, h *harness.Host) *everybody {
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "ads.example", "block")
	e := &everybody{newPeople(t, h), h.MustHost(), h.MustHost(), h.MustHost(), h.MustHost()}
	for _, a := range []*lab.Agent{e.bob, e.root} {
		e.learns(a, e.honest, e.bank)
	}
	return e
}

// unmoved has everybody but Alice connect as before.
func (e *everybody) unmoved(why string) {
	e.t.Helper()
	e.expect(e.bank.Addr4, "vpn0", why+": the bank's address")
	e.expect(e.honest.Addr4, "wan0", why+": an honest address")
	e.expect(e.nobody.Addr4, "wan0", why+": an address that only Alice gave a name")
	for _, l := range e.h.Learnt() {
		if l.Address == e.nobody.Addr4 && (l.Level == "host" || l.UID != alice) {
			e.t.Errorf("%s: Alice taught level %q of uid %d %s", why, l.Level, l.UID, l.Name)
		}
	}
}

// all are the addresses that Alice likes.
func (e *everybody) all() []netip.Addr {
	return []netip.Addr{e.bank.Addr4, e.honest.Addr4, e.nobody.Addr4}
}

// T5: Alice has a name server of her own somewhere, and it answers her whatever she likes: names with each kind of rule
// and without, for every address she likes, again and again. Defence: the scope (process and user) in
// learn_address() and judge().
func TestOtherUsersServer(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	h.Must("start", "--cgroup", h.Cgroup)
	e := newEverybody(t, h)
	for i := range lieNames {
		for _, domain := range []string{"bank.example", "ads.example", "honest.example"} {
			for _, name := range []string{domain, fmt.Sprintf("n%d.%s", i, domain)} {
				h.DNS.Set(name, append(e.all(), distinct(i, lieEach-len(e.all()))...)...)
				q := lab.Query{Name: name, Server: port(e.hers.Addr4, lab.DNSPort), EDNS: true, Proto: []string{"udp", "tcp"}[i%2]}
				resolve(t, e.alice, q)
				h.DNS.Unset(name)
			}
		}
	}
	e.unmoved("by Alice's name server")
	// She is the one who is moved: the last rule that she heard of blocks.
	for _, a := range e.all() {
		expectTCP(t, h, e.alice, a, "EHOSTUNREACH", "Alice herself")
	}
}

// T5: Alice gives a program a hosts file of her own, in a mount namespace where she may, and it calls getaddrinfo of the
// system's C library. If that is observed she moves this one process, and nobody else at all. Defence: the scope
// (process) of what the C library is seen to answer.
func TestOtherUsersHostsFile(t *testing.T) {
	for _, observed := range []bool{true, false} {
		t.Run(fmt.Sprintf("observed %v", observed), func(t *testing.T) { testHostsFile(t, observed) })
	}
}

func testHostsFile(t *testing.T, observed bool) {
	observers := []string{"--observe", "sockets"}
	if observed {
		observers = append(observers, "--observe", "libc")
	}
	h := &kit.Host{Host: harness.Started(t, observers...)}
	e := newEverybody(t, h.Host)
	client := kit.Glibc(t, h)
	for i, program := range []kit.Command{client, {kit.Tool(t, "/usr/bin/python3"), "-I", "-S", "-c", pythonClient}} {
		for _, c := range []struct{ name, moved string }{
			{"bank.example", "vpn0"}, {"www.bank.example", "vpn0"}, {"ads.example", ""}, {"free.example", "wan0"},
		} {
			for _, to := range e.all() {
				want := c.moved
				if !observed {
					want = "wan0" // Alice herself has asked nobody, and nothing is known of the host for her but the bank
					if to == e.bank.Addr4 {
						want = "vpn0"
					}
				}
				why := fmt.Sprintf("program %d, %s is %v", i, c.name, to)
				if got := e.byHosts(program, c.name, to); got != want {
					t.Errorf("%s: Alice's went by %q, want %q", why, got, want)
				}
				e.processOnly(why)
			}
		}
	}
	e.unmoved("by Alice's hosts file")
	// Another process of hers goes as it would.
	again := h.MustAgent(lab.AgentOptions{UID: alice})
	expectTCP(t, h.Host, again, e.nobody.Addr4, "wan0", "another process of Alice's")
	expectTCP(t, h.Host, again, e.honest.Addr4, "wan0", "another process of Alice's")
}

// pythonClient is the C client in few words: python FAMILY PORT NAME.
const pythonClient = `
import socket, sys
a = socket.getaddrinfo(sys.argv[3], int(sys.argv[2]), socket.AF_INET, socket.SOCK_STREAM)[0][4]
s = socket.create_connection(a, timeout=5)
print(sys.argv[3], s.makefile().readline().strip())
`

// byHosts has a program of Alice's connect to a name by a hosts file that says where it is, and tells by which uplink it
// went; none if it was refused.
func (e *everybody) byHosts(program kit.Command, name string, to netip.Addr) string {
	e.t.Helper()
	hosts := filepath.Join(e.h.Dir, "alice-hosts")
	check(e.t, os.WriteFile(hosts, fmt.Appendf(nil, "%v %s\n", to, name), 0o644))
	const script = `mount --bind "$1" /etc/hosts && shift && exec "$@"`
	args := append([]string{"-Urm", "/bin/sh", "-c", script, "sh", hosts}, program...)
	cmd := e.h.Command(context.Background(), kit.Tool(e.t, "unshare"), append(args, "4", decimal(lab.EchoPort), name)...).AsUser(alice)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &errs, "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"}
	err := cmd.Run()
	if err != nil && strings.Contains(errs.String(), "No route to host") {
		return ""
	}
	said, seen, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if err != nil || said != name {
		e.t.Fatalf("%v: %v, %q\n%s", cmd.Args, err, out.String(), errs.String())
	}
	return uplinkOf(e.h, seen)
}

// processOnly fails if anything is learnt of Alice for more than a process.
func (e *everybody) processOnly(why string) {
	e.t.Helper()
	for _, l := range e.h.Learnt() {
		if l.UID == alice && l.Level != "process" {
			e.t.Errorf("%s: learnt %s at level %q of uid %d", why, l.Name, l.Level, l.UID)
		}
	}
}
