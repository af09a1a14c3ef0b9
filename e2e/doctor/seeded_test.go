package doctor

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// ip runs ip(8) in the client's namespace.
func ip(t testing.TB, h *harness.Host, args ...string) {
	t.Helper()
	if out, err := h.HostCommand(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// vpn0 fills cures in.
func vpn0(h *harness.Host, six bool) []string {
	u := h.Uplink("vpn0")
	if six {
		return []string{"ADDRESS/LENGTH", u.Addr6.String() + "/64 nodad", "GATEWAY", u.Gateway6.String()}
	}
	return []string{"ADDRESS/LENGTH", u.Addr4.String() + "/28", "GATEWAY", u.Gateway4.String()}
}

func noRoute(t *testing.T, h *harness.Host) {
	ip(t, h, "route", "del", "default", "dev", "vpn0")
	c := wantWrong(t, h, "interface-route", "fail", "vpn0: no IPv4 default route leaves by it", "ip route add default via GATEWAY dev vpn0 metric 9999")
	mend(t, h, c.Cure, vpn0(h, false)...)
	wantSound(t, h)
}

func reversePath(t *testing.T, h *harness.Host) {
	for _, scope := range []string{"vpn0", "all"} {
		setting(t, h, "ipv4/conf/"+scope+"/rp_filter", "1")
		c := wantWrong(t, h, "rp-filter", "fail", "vpn0: rp_filter is 1", "sysctl -w net.ipv4.conf.vpn0.rp_filter=2")
		mend(t, h, c.Cure)
		wantSound(t, h)
		setting(t, h, "ipv4/conf/"+scope+"/rp_filter", "0")
	}
}

func interfaceDown(t *testing.T, h *harness.Host) {
	must(t, h.SetUplinkState("vpn0", false))
	c := wantWrong(t, h, "interface-down", "fail", "vpn0: is down", "ip link set vpn0 up")
	mend(t, h, c.Cure)
	// What went with it is another thing, with a cure of its own.
	route := wantWrong(t, h, "interface-route", "fail", "vpn0", "", "interface-ipv6")
	mend(t, h, route.Cure, vpn0(h, false)...)
	six := wantWrong(t, h, "interface-ipv6", "warn", "vpn0", "")
	mend(t, h, six.Cure, vpn0(h, true)...)
	wantSound(t, h)
}

func noIPv6(t *testing.T, h *harness.Host) {
	ip(t, h, "-6", "addr", "flush", "dev", "vpn0", "scope", "global")
	ip(t, h, "-6", "route", "flush", "default", "dev", "vpn0")
	c := wantWrong(t, h, "interface-ipv6", "warn", "vpn0: has no IPv6 address, and names that go by it have IPv6 addresses (1 of them)", "ip -6 addr add ADDRESS/LENGTH dev vpn0")
	mend(t, h, c.Cure, vpn0(h, true)...)
	wantSound(t, h)
}

// A table of its own is as good as the main one, and without another default route it is what is advised.
func ownTable(t *testing.T, h *harness.Host) {
	u := h.Uplink("vpn0")
	ip(t, h, "route", "del", "default", "dev", "vpn0")
	ip(t, h, "route", "add", "default", "via", u.Gateway4.String(), "dev", "vpn0", "table", "77")
	ip(t, h, "rule", "add", "oif", "vpn0", "lookup", "77")
	wantSound(t, h)
	ip(t, h, "-6", "route", "del", "default", "dev", "vpn0")
	wantWrong(t, h, "interface-ipv6", "warn", "vpn0: has no IPv6 route, and names that go by it have IPv6 addresses (1 of them)",
		"ip -6 route add default via GATEWAY dev vpn0 metric 9999")
	ip(t, h, "-6", "route", "flush", "default")
	c := wantWrong(t, h, "interface-ipv6", "warn", "vpn0: has no IPv6 route",
		"ip -6 route add default via GATEWAY dev vpn0 table TABLE && ip -6 rule add oif vpn0 lookup TABLE")
	mend(t, h, c.Cure, append(vpn0(h, true), "TABLE", "78")...)
	wantSound(t, h)
	ip(t, h, "rule", "del", "oif", "vpn0")
	ip(t, h, "route", "add", "default", "via", u.Gateway4.String(), "dev", "vpn0", "metric", "9999")
}

// A tunnel whose IPv6 has an address and no route, as by wg-quick's Table = off.
func tunnelWithoutIPv6(t *testing.T, h *harness.Host) {
	must(t, h.AddUplink("tun0", lab.UplinkOptions{Tun: true, NoDefaultRoute: true}))
	h.Must("rule", "add", "tunnel.test", "tun0")
	c := wantWrong(t, h, "interface-ipv6", "warn", "tun0: has an IPv6 address and no IPv6 route", "oif tun0 lookup TABLE")
	if st := h.Must("status"); !strings.Contains(st, "up, IPv4, no IPv6 route") {
		t.Errorf("status: %s", st)
	}
	mend(t, h, c.Cure, "TABLE", "79")
	wantSound(t, h)
	if st := h.Must("status"); !strings.Contains(st, "up, IPv4 and IPv6  rules 1") {
		t.Errorf("status: %s", st)
	}
	h.Must("rule", "del", "tunnel.test")
	must(t, h.DeleteUplink("tun0"))
	ip(t, h, "-6", "rule", "del", "oif", "tun0")
}

func staleLibrary(t *testing.T, h *harness.Host) {
	var st struct {
		Libraries []struct {
			Path string
			PID  int
		}
	}
	h.JSON(&st, "status")
	path := ""
	for _, l := range st.Libraries {
		if l.PID == 0 && filepath.Base(l.Path) == "libc.so.6" {
			path = l.Path
		}
	}
	harness.Need(t, path != "", "glibc")
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, h.SetFile(path, string(text)))
	c := wantWrong(t, h, "c-library", "fail", path+": is not observed", "domain-route start")
	mend(t, h, c.Cure)
	wantSound(t, h)
}

func TestWrongCgroup(t *testing.T) {
	h := harness.New(t, lab.Options{})
	empty := filepath.Join(h.Cgroup, "empty")
	must(t, os.Mkdir(empty, 0o755))
	h.Must("start", "--cgroup", empty)
	h.Must("rule", "add", "site.test", "vpn0")
	h.MustAgent(lab.AgentOptions{})
	c := wantWrong(t, h, "cgroup", "fail", "no program runs in "+empty+": nothing is steered", "domain-route start --cgroup "+h.Cgroup)
	mend(t, h, c.Cure, "FILE", filepath.Join(h.Dir, "rules"))
	wantSound(t, h)
	if rules := h.Must("rule", "list"); !strings.Contains(rules, "site.test") {
		t.Errorf("the cure lost the rules: %q", rules)
	}
}

// A cgroup that is gone, as a unit's that was stopped.
func TestGoneCgroup(t *testing.T) {
	h := harness.New(t, lab.Options{})
	gone := filepath.Join(h.Cgroup, "gone")
	must(t, os.Mkdir(gone, 0o755))
	h.Must("start", "--cgroup", gone)
	must(t, os.Remove(gone))
	wantWrong(t, h, "cgroup", "fail", gone+" is gone", "domain-route stop; domain-route start", "programs")
}

func shadowed(t *testing.T, h *harness.Host) {
	h.Must("rule", "add", "never.test", "vpn0")
	h.Must("rule", "add", "=never.test", "direct")
	h.Must("rule", "add", "*.never.test", "direct")
	c := wantWrong(t, h, "rules-shadowed", "warn", "never.test (by =never.test)", "domain-route rule del never.test")
	mend(t, h, c.Cure)
	wantSound(t, h)
}

func secondTool(t *testing.T, h *harness.Host) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "other_connect", Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}, License: "MIT"})
	must(t, err)
	defer p.Close()
	sub := filepath.Join(h.Cgroup, "sub")
	must(t, os.Mkdir(sub, 0o755))
	for dir, order := range map[string]string{h.Cgroup: "after ours", sub: "before ours"} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInet4Connect, Program: p})
		must(t, err)
		info, err := l.Info()
		must(t, err)
		c := wantWrong(t, h, "other-programs", "warn", fmt.Sprintf("connect4: program %d \"other_connect\" at %s", info.Program, dir), fmt.Sprintf("bpftool link detach id %d", info.ID))
		if self := fmt.Sprintf("of %s (pid %d)", filepath.Base(executable(t)), os.Getpid()); !strings.Contains(c.Found, self) || !strings.Contains(c.Found, order) {
			t.Errorf("%q; want %q, %q", c.Found, self, order)
		}
		if tool, err := exec.LookPath("bpftool"); err == nil {
			_, cure, _ := strings.Cut(c.Cure, "or detach it: bpftool ")
			mend(t, h, tool+" "+cure)
		} else { // its tool ends
			must(t, l.Close())
		}
		wantSound(t, h)
		l.Close()
	}
}

// A tool with several hooks has one line, and one cure.
func secondToolTwice(t *testing.T, h *harness.Host) {
	var links []string
	var held []link.Link
	for name, at := range map[string]ebpf.AttachType{"other4": ebpf.AttachCGroupInet4Connect, "other6": ebpf.AttachCGroupInet6Connect} {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.CGroupSockAddr, AttachType: at,
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}, License: "MIT"})
		must(t, err)
		defer p.Close()
		l, err := link.AttachCgroup(link.CgroupOptions{Path: h.Cgroup, Attach: at, Program: p})
		must(t, err)
		defer l.Close()
		info, err := l.Info()
		must(t, err)
		links, held = append(links, fmt.Sprint(info.ID)), append(held, l)
	}
	var wrong []check
	for _, c := range wrongIn(consult(t, h)) {
		wrong = append(wrong, c)
		for _, id := range links {
			if !strings.Contains(c.Cure, id) || !strings.HasSuffix(c.Cure, "; do bpftool link detach id $id; done") {
				t.Errorf("%q does not detach %s", c.Cure, id)
			}
		}
	}
	if len(wrong) != 1 || wrong[0].ID != "other-programs" || wrong[0].Subject != "connect4 connect6" || !strings.Contains(wrong[0].Found, "2 programs at "+h.Cgroup) {
		t.Errorf("%+v", wrong)
	}
	for _, l := range held {
		must(t, l.Close())
	}
}

func executable(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

func nearlyFull(t *testing.T, h *harness.Host) {
	m, err := ebpf.LoadPinnedMap("/sys/fs/bpf/domain-route/live/maps/users_plain", nil)
	must(t, err)
	defer m.Close()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	for i := range m.MaxEntries() * 97 / 100 {
		// struct learnt_set of bpf/abi.h: a name that was seen a nanosecond after boot, and lives for years.
		binary.NativeEndian.PutUint32(key, i)
		binary.NativeEndian.PutUint64(value[8:], uint64(i)+1)
		binary.NativeEndian.PutUint64(value[32:], 1<<62)
		binary.NativeEndian.PutUint64(value[40:], 1)
		must(t, m.Put(key, value))
	}
	c := wantWrong(t, h, "map-fill", "warn", "users_plain: ", "domain-route flush")
	cure, _, _ := strings.Cut(c.Cure, ", or ")
	mend(t, h, cure)
	wantSound(t, h)
}
