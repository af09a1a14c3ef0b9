package recipes

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// alice is a user without privileges.
const alice = 4242

// stories are the pages that a test tells.
var stories = map[string]bool{
	"wireguard.md": true, "everything-but.md": true, "two-uplinks.md": true, "corporate-vpn.md": true,
	"tailscale.md": true, "containers.md": true, "browsers.md": true, "streaming-and-games.md": true,
}

// story is one page, told in a lab whose uplink eth0 has the default route.
type story struct {
	*harness.Host
	*page.Shell
	t      *testing.T
	blocks []page.Block
	hosts  map[string]lab.Host
	server netip.AddrPort        // the name server, if it is not the lab's
	places map[netip.Addr]string // which interface an address as seen by servers is of
}

// tell reads a page, every block of sh of which has to be run before the test ends. Hosts are names with a server each.
func tell(t *testing.T, file string, hosts ...string) *story {
	t.Helper()
	s := &story{Host: harness.New(t, lab.Options{}), t: t, hosts: map[string]lab.Host{}, places: map[netip.Addr]string{}}
	if !stories[file] {
		t.Errorf("%s is not in the list of stories", file)
	}
	check(t, s.RenameUplink("wan0", "eth0"))
	check(t, s.DeleteUplink("vpn0"))
	s.uplink("eth0")
	for _, name := range hosts {
		s.hosts[name] = s.MustHost(name)
	}
	s.Shell = page.NewShell(t, s.Host)
	s.ShowCgroup(t, "")
	for _, b := range page.Read(t, pages, file) {
		if b.Kind == "sh" {
			s.blocks = append(s.blocks, b)
		}
	}
	t.Cleanup(func() {
		for _, b := range s.blocks {
			if !t.Failed() {
				t.Errorf("%s:%d: was not run", b.File, b.Line)
			}
		}
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// uplink notes an uplink's addresses.
func (s *story) uplink(name string) {
	u := s.Uplink(name)
	s.places[u.Addr4], s.places[u.Addr6] = name, name
}

// run runs the blocks below the next heading that has some, which must be this one, and returns what they wrote.
func (s *story) run(section string) string {
	s.t.Helper()
	if len(s.blocks) == 0 || s.blocks[0].Section != section {
		s.t.Fatalf("no block below %q is next: %v", section, s.blocks)
	}
	var out strings.Builder
	for len(s.blocks) > 0 && s.blocks[0].Section == section {
		out.WriteString(s.Shell.Run(s.t, s.blocks[0]))
		s.blocks = s.blocks[1:]
	}
	return out.String()
}

// shell runs commands that stand in for what the page leaves to the reader.
func (s *story) shell(text string) string {
	s.t.Helper()
	return s.Shell.Run(s.t, page.Block{File: "the story", Text: text})
}

var families = []via.Kind{via.TCP4, via.TCP6, via.UDP4, via.UDP6}

// goes has fresh programs of root and of a user ask for a name and connect to it in all ways, and checks by which
// interface the server saw them, or with which error they failed. Unless it is eth0, not one packet may leave there.
func (s *story) goes(name, want string, kinds ...via.Kind) {
	s.t.Helper()
	for _, uid := range []uint32{0, alice} {
		a := s.MustAgent(lab.AgentOptions{UID: uid, Timeout: 3 * time.Second})
		check(s.t, via.Learn(a, name))
		s.leaves(a, name, want, kinds...)
		_ = a.Close()
	}
}

// leaves is goes for one program, whatever it has asked for.
func (s *story) leaves(a *lab.Agent, name, want string, kinds ...via.Kind) {
	s.t.Helper()
	to, ok := s.hosts[name]
	if !ok {
		s.t.Fatalf("no host %s", name)
	}
	if len(kinds) == 0 {
		kinds = families
	}
	for _, k := range kinds {
		s.ResetPackets()
		got := via.Out(s.Lab, a, k, to)
		if addr, err := netip.ParseAddr(got); err == nil && s.places[addr] != "" {
			got = s.places[addr]
		}
		if got != want {
			s.t.Errorf("%s by %s: %s, want %s", name, k, got, want)
		}
		if n := s.left(k.Target(to)); (n > 0) != (want == "eth0") {
			s.t.Errorf("%s by %s: %d packets left by eth0, want %s", name, k, n, want)
		}
	}
}

// left tells how many packets to an address have left by eth0 since ResetPackets, but for the one kind that may: the kernel's
// last word for a connection that this or an earlier program closed (docs/limits.md).
func (s *story) left(to netip.Addr) int {
	s.t.Helper()
	n, err := s.UplinkPackets("eth0", to)
	check(s.t, err)
	last, err := s.Farewells("eth0", to)
	check(s.t, err)
	return n - last
}

// reboot takes everything out of the kernel, and in again from the configuration alone.
func (s *story) reboot() {
	s.t.Helper()
	s.shell("domain-route stop && domain-route start")
}

// wantSeen checks that a server saw what a block ran at an interface.
func (s *story) wantSeen(out, by string) {
	s.t.Helper()
	for line := range strings.Lines(out) {
		if a, err := netip.ParseAddr(strings.TrimSpace(line)); err == nil && s.places[a] == by {
			return
		}
	}
	s.t.Errorf("no line has an address of %s:\n%s", by, out)
}

func (s *story) wantText(out string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("no %q in:\n%s", text, out)
		}
	}
}

func (s *story) wantNoText(out, text string) {
	s.t.Helper()
	if strings.Contains(out, text) {
		s.t.Errorf("%q in:\n%s", text, out)
	}
}

// asBefore checks that nothing is left: the names go by eth0, and neither rules nor routing tables differ.
func (s *story) asBefore(was []string, names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.goes(name, "eth0")
	}
	if diff := cmp.Diff(was, s.network()); diff != "" {
		s.t.Errorf("the network is not as before (-was +is):\n%s", diff)
	}
	if r := s.Host.Run("status"); r.Code != 1 {
		s.t.Errorf("domain-route is still started: %s", r.Stdout)
	}
	if left, err := filepath.Glob("/etc/domain-route/config.d/*"); err != nil || len(left) > 0 {
		s.t.Errorf("left of the configuration: %v (%v)", left, err)
	}
}

// network is what the client's routing is made of, but for what the kernel makes up itself.
func (s *story) network() []string {
	s.t.Helper()
	out := s.shell("ip -br link | sed 's/[@ ].*//'; ip rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; nft list ruleset")
	// A bridge's port comes up when it likes.
	lines := slices.DeleteFunc(strings.Split(strings.ReplaceAll(out, "linkdown ", ""), "\n"), func(l string) bool {
		return strings.Contains(l, "fe80:") || strings.Contains(l, "multicast") || strings.TrimSpace(l) == ""
	})
	slices.Sort(lines)
	return lines
}

func (s *story) write(path, text string) {
	s.t.Helper()
	check(s.t, os.WriteFile(path, []byte(text), 0o600))
}

func (s *story) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(path)
	check(s.t, err)
	return string(b)
}
