package conditions

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func itoa(n uint32) string { return fmt.Sprint(n) }

// A rule for a cgroup is for what runs in it and below it, and for nothing beside it. Defence: cgroup_path in
// bpf/choice.h.
func TestCgroups(t *testing.T) {
	h := started(t)
	places := []string{"", "a", "a/foo", "a/foo/deep/er", "a/foobar", "a/fo", "b/foo", "foo"}
	agents := map[string]*lab.Agent{}
	to := h.MustHost("www.site.test")
	for _, p := range places {
		cgroup(t, h, p)
		agents[p] = agentIn(t, h, p, alice)
		check(t, via.Learn(agents[p], "www.site.test"))
	}
	for _, c := range []struct {
		what  string
		rules [][2]string       // cgroup, "" for none, and target
		want  map[string]string // of the places; else wan0
	}{
		{"one", [][2]string{{"a/foo", "vpn0"}}, map[string]string{"a/foo": "vpn0", "a/foo/deep/er": "vpn0"}},
		{"its parent", [][2]string{{"a", "vpn0"}}, map[string]string{"a": "vpn0", "a/foo": "vpn0", "a/foo/deep/er": "vpn0", "a/foobar": "vpn0", "a/fo": "vpn0"}},
		{"deep", [][2]string{{"a/foo/deep/er", "vpn0"}}, map[string]string{"a/foo/deep/er": "vpn0"}},
		{"not there", [][2]string{{"a/foo/deep/er/still", "vpn0"}, {"c", "block"}}, nil},
		{"the deepest goes before", [][2]string{{"a", "vpn0"}, {"a/foo", "lte0"}, {"a/foo/deep", "direct"}},
			map[string]string{"a": "vpn0", "a/foobar": "vpn0", "a/fo": "vpn0", "a/foo": "lte0"}},
		{"siblings", [][2]string{{"a/foo", "vpn0"}, {"a/foobar", "lte0"}, {"b/foo", "block"}},
			map[string]string{"a/foo": "vpn0", "a/foo/deep/er": "vpn0", "a/foobar": "lte0", "b/foo": "EHOSTUNREACH"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			for _, r := range c.rules {
				condition := "cgroup=" + path(t, h, r[0])
				h.Must("rule", "add", "site.test", r[1], condition)
				t.Cleanup(func() { h.Must("rule", "del", "site.test", condition) })
			}
			for _, p := range places {
				want := c.want[p]
				if want == "" {
					want = "wan0"
				}
				wantOut(t, h, "/"+p, agents[p], to, want)
			}
		})
	}
}

// The parts of a path may have any length that a directory's name may have.
func TestCgroupNames(t *testing.T) {
	h := started(t)
	to := h.MustHost()
	for _, length := range []int{1, 2, 7, 8, 9, 15, 16, 31, 32, 33, 39, 40, 63, 64, 65, 254, 255} {
		name := strings.Repeat("x", length-1) + "y"
		other := strings.Repeat("x", length-1) + "z"
		cgroup(t, h, name+"/in")
		cgroup(t, h, other)
		h.Must("rule", "add", "default", "vpn0", "cgroup="+path(t, h, name))
		for place, want := range map[string]string{name: "vpn0", name + "/in": "vpn0", other: "wan0"} {
			a := agentIn(t, h, place, 0)
			if got := via.Out(h.Lab, a, via.TCP4, to, "lte0"); got != want {
				t.Errorf("a name of %d bytes, in %.3s...%s: %s, want %s", length, place, place[len(place)-1:], got, want)
			}
			check(t, a.Close())
		}
		h.Must("rule", "del", "default", "cgroup="+path(t, h, name))
	}
}

// As deep as a condition may be, and deeper below.
func TestDeepCgroups(t *testing.T) {
	h := started(t)
	to := h.MustHost()
	top := strings.Count(path(t, h, ""), "/")
	deepest := strings.TrimSuffix(strings.Repeat("d/", 32-top), "/")
	cgroup(t, h, deepest+"/more/and/more")
	h.Must("rule", "add", "default", "vpn0", "cgroup="+path(t, h, deepest))
	for place, want := range map[string]string{deepest: "vpn0", deepest + "/more/and/more": "vpn0", filepath.Dir(deepest): "wan0"} {
		wantOut(t, h, place, agentIn(t, h, place, 0), to, want)
	}
	r := h.Run("rule", "add", "default", "lte0", "cgroup="+path(t, h, deepest+"/more"))
	if r.Code != 2 || !strings.Contains(r.Stderr, "more than 32 names") {
		t.Errorf("33 components: exit %d, %s", r.Code, r.Stderr)
	}
	wantOut(t, h, deepest, agentIn(t, h, deepest, 0), to, "vpn0")
}

// A unit that is restarted gets another cgroup by the same path, and a rule may be older than the cgroup.
func TestRestartedCgroup(t *testing.T) {
	h := started(t)
	to := h.MustHost()
	unit := "units/foo.service"
	h.Must("rule", "add", "default", "vpn0", "cgroup="+path(t, h, unit))
	var ids [2]uint64
	for i := range ids {
		cgroup(t, h, unit)
		a := agentIn(t, h, unit, alice)
		wantOut(t, h, fmt.Sprint("time ", i), a, to, "vpn0")
		check(t, a.Close())
		ids[i] = inode(t, filepath.Join(h.Cgroup, unit))
		check(t, os.Remove(filepath.Join(h.Cgroup, unit)))
	}
	if ids[0] == ids[1] {
		t.Errorf("both had the id %d: this proves nothing", ids[0])
	}
	// One that moves counts from its next connect on.
	cgroup(t, h, unit)
	a := agentIn(t, h, "", alice)
	wantOut(t, h, "outside", a, to, "wan0")
	check(t, os.WriteFile(filepath.Join(h.Cgroup, unit, "cgroup.procs"), []byte(itoa(uint32(a.PID))), 0))
	wantOut(t, h, "moved in", a, to, "vpn0")
	check(t, os.WriteFile(filepath.Join(h.Cgroup, "cgroup.procs"), []byte(itoa(uint32(a.PID))), 0))
	wantOut(t, h, "moved out", a, to, "wan0")
}

// User and cgroup together go before the cgroup, that before the user, that before none.
func TestUserAndCgroup(t *testing.T) {
	h := started(t)
	to := h.MustHost("site.test")
	cgroup(t, h, "a")
	in := "cgroup=" + path(t, h, "a")
	h.Must("rule", "add", "site.test", "block")
	h.Must("rule", "add", "site.test", "direct", "user=1001")
	h.Must("rule", "add", "site.test", "lte0", in)
	h.Must("rule", "add", "site.test", "vpn0", "user=1001", in)
	check(t, via.Learn(agentIn(t, h, "", 0), "site.test"))
	for _, c := range []struct {
		uid   uint32
		place string
		want  string
	}{{alice, "a", "vpn0"}, {bob, "a", "lte0"}, {alice, "", "wan0"}, {bob, "", "EHOSTUNREACH"}} {
		wantOut(t, h, fmt.Sprint(c.uid, " in /", c.place), agentIn(t, h, c.place, c.uid), to, c.want)
	}
}

// While rules change under way, each connection gets what one of the sets says for its own process.
func TestChangeUnderWay(t *testing.T) {
	h := started(t)
	cgroup(t, h, "a")
	cgroup(t, h, "b")
	a, b := agentIn(t, h, "a", 0), agentIn(t, h, "b", 0)
	to := h.MustHost("site.test")
	h.Must("rule", "add", "site.test", "vpn0", "cgroup="+path(t, h, "a"))
	h.Must("rule", "add", "site.test", "lte0", "cgroup="+path(t, h, "b"))
	h.Must("rule", "add", to.Addr6.String(), "vpn0", "cgroup="+path(t, h, "a"))
	h.Must("rule", "add", to.Addr6.String(), "lte0", "cgroup="+path(t, h, "b"))
	check(t, via.Learn(a, "site.test"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			if r := h.Run("rule", "add", "other.test", []string{"vpn0", "block"}[i%2]); r.Code != 0 {
				t.Error(r.Stderr)
			}
		}
	}()
	tried := 0
	for running := true; running; tried++ {
		select {
		case <-done:
			running = false
		default:
		}
		k := []via.Kind{via.UDP4, via.UDP6}[tried%2]
		if got := via.Out(h.Lab, a, k, to, "lte0"); got != "vpn0" {
			t.Fatalf("in a, after %d: %s", tried, got)
		}
		if got := via.Out(h.Lab, b, k, to, "lte0"); got != "lte0" {
			t.Fatalf("in b, after %d: %s", tried, got)
		}
	}
	t.Logf("%d connections each during 100 changes", tried)
}

func inode(t *testing.T, dir string) uint64 {
	t.Helper()
	info, err := os.Stat(dir)
	check(t, err)
	return inodeOf(info)
}
