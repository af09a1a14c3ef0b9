package reset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// A name whose text was evicted keeps to what the rules say of the name whose rule once matched it, though that rule was
// deleted, or changes nothing, and has no entry in the kernel by itself. Defence: internal/dataplane/rules_former.go.
func TestFormerNames(t *testing.T) {
	type step struct {
		change string // of rules
		want   [2]whereabouts
	}
	vpn, lte, nowhere := whereabouts{device: "vpn0"}, whereabouts{device: "lte0"}, whereabouts{}
	for _, c := range []struct {
		what  string
		rules []string // as the names are learnt
		steps []step   // and where the connections to a.ruled.test and www.a.ruled.test go
	}{
		{"a parent gives the same", []string{"a.ruled.test vpn0"}, []step{
			{"add ruled.test vpn0", [2]whereabouts{vpn, vpn}},
			{"add other.test block", [2]whereabouts{vpn, vpn}},
			{"add ruled.test lte0", [2]whereabouts{vpn, vpn}},
			{"del a.ruled.test", [2]whereabouts{lte, lte}},
		}},
		{"deleted", []string{"a.ruled.test vpn0", "ruled.test lte0"}, []step{
			{"del a.ruled.test", [2]whereabouts{lte, lte}},
			{"add other.test block", [2]whereabouts{lte, lte}},
			{"del ruled.test", [2]whereabouts{nowhere, nowhere}},
			{"del other.test", [2]whereabouts{nowhere, nowhere}},
			{"add test vpn0", [2]whereabouts{vpn, vpn}},
		}},
		{"half deleted", []string{"a.ruled.test vpn0", "=a.ruled.test vpn0", "test lte0"}, []step{
			{"del a.ruled.test", [2]whereabouts{vpn, lte}},
			{"del =a.ruled.test", [2]whereabouts{lte, lte}},
			{"add *.a.ruled.test vpn0", [2]whereabouts{lte, vpn}},
		}},
		{"conditions", []string{"a.ruled.test vpn0", "ruled.test lte0 user=0"}, []step{
			{"del a.ruled.test", [2]whereabouts{lte, lte}},
			{"add ruled.test vpn0", [2]whereabouts{lte, lte}},
			{"del ruled.test user=0", [2]whereabouts{vpn, vpn}},
		}},
	} {
		for evicted := range len(c.steps) {
			t.Run(fmt.Sprintf("%s, evicted at step %d", c.what, evicted), func(t *testing.T) {
				h := harness.Started(t)
				check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
				a := h.MustAgent(lab.AgentOptions{})
				servers := [2]lab.Host{h.MustHost("a.ruled.test"), h.MustHost("www.a.ruled.test")}
				for _, r := range c.rules {
					h.Must(append([]string{"rule", "add"}, strings.Fields(r)...)...)
				}
				check(t, via.Learn(a, "a.ruled.test", "www.a.ruled.test"))
				for i, s := range c.steps {
					if i == evicted {
						evictNames(t, "names_ruled", "names_plain")
					}
					h.Must(append([]string{"rule"}, strings.Fields(s.change)...)...)
					if i == evicted {
						evictNames(t, "names_ruled", "names_plain")
					}
					var moved []*conn
					for k, server := range servers {
						conn, got := connect(t, a, server)
						if got != s.want[k] {
							t.Errorf("after %q, %d: %+v, want %+v", s.change, k, got, s.want[k])
						}
						moved = append(moved, conn)
					}
					wantRows(t, reset(t, h, "--dry-run")) // the judge in user space agrees
					for _, conn := range moved {
						conn.s.Close()
					}
				}
			})
		}
	}
}

// So it is where the text went only after the change, and the next change finds none.
func TestFormerNamesTextGoesLater(t *testing.T) {
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("a.ruled.test")
	h.Must("rule", "add", "a.ruled.test", "vpn0")
	h.Must("rule", "add", "ruled.test", "lte0")
	check(t, via.Learn(a, "a.ruled.test"))
	h.Must("rule", "del", "a.ruled.test")
	list := h.Must("rule", "list")
	evictNames(t, "names_ruled", "names_plain")
	for i := range 3 {
		if c, got := connect(t, a, server); got.device != "lte0" {
			t.Errorf("after %d more changes: %+v", i, got)
		} else {
			c.s.Close()
		}
		h.Must("rule", "add", "other.test", "block")
		h.Must("rule", "del", "other.test")
	}
	if got := h.Must("rule", "list"); got != list || strings.Contains(got, "a.ruled") {
		t.Errorf("rule list: %q, before %q", got, list)
	}
}

// A name that got its rule only after it was learnt keeps its text, however many names without a rule are learnt. Defence:
// hintAt.
func TestRuledLater(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("a.ruled.test")
	check(t, via.Learn(a, "a.ruled.test"))
	h.Must("rule", "add", "ruled.test", "vpn0")
	evictNames(t, "names_plain")
	h.Must("rule", "add", "other.test", "block")
	if c, got := connect(t, a, server); got.device != "vpn0" {
		t.Errorf("%+v", got)
	} else {
		c.s.Close()
	}
	wantRows(t, reset(t, h, "--dry-run"))
}

// What is learnt by a rule while the change that deletes it is under way counts as well. Defence: changeTries.
func TestFormerNamesLearntMeanwhile(t *testing.T) {
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	a := h.MustAgent(lab.AgentOptions{})
	const names = 300
	var servers []lab.Host
	rules, file := "ruled.test lte0\n", filepath.Join(t.TempDir(), "rules")
	for i := range names {
		name := fmt.Sprintf("n%d.ruled.test", i)
		servers = append(servers, h.MustHost(name))
		rules += name + " vpn0\n"
	}
	check(t, os.WriteFile(file, []byte(rules), 0o600))
	h.Must("apply", "-f", file)
	check(t, os.WriteFile(file, []byte("ruled.test lte0\n"), 0o600))
	learning, learnt := make(chan struct{}), make(chan error)
	go func() {
		for i := range names {
			if err := via.Learn(a, fmt.Sprintf("n%d.ruled.test", i)); err != nil {
				learnt <- err
				return
			}
			if i == names/20 {
				close(learning)
			}
		}
		learnt <- nil
	}()
	<-learning
	h.Must("apply", "-f", file)
	check(t, <-learnt)
	evictNames(t, "names_ruled", "names_plain")
	h.Must("rule", "add", "other.test", "block")
	for i, server := range servers {
		c, got := connect(t, a, server)
		if got.device != "lte0" {
			t.Errorf("name %d: %+v", i, got)
		}
		c.s.Close()
	}
}
