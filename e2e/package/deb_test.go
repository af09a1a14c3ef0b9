package packages

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// stage is a host whose rules steer names, with a program that has learnt them and keeps a connection.
type stage struct {
	*host
	agent  *lab.Agent
	steers lab.Host // steered.test, by the configuration
	added  lab.Host // added.test, by a rule that was added
	socket *lab.Socket
}

// newStage installs a version and has it steer.
func newStage(t *testing.T, version string) *stage {
	t.Helper()
	h := newHost(t)
	said(t, h.install(version), "started; observers")
	s := &stage{host: h, agent: h.MustAgent(lab.AgentOptions{}), steers: h.MustHost("steered.test"), added: h.MustHost("added.test")}
	h.configure("rules:\n  - {match: steered.test, target: vpn0}\n")
	h.must(program, "apply")
	h.must(program, "rule", "add", "added.test", "vpn0")
	if err := via.Learn(s.agent, "steered.test", "added.test"); err != nil {
		t.Fatal(err)
	}
	s.steered(t)
	var err error
	if s.socket, err = s.agent.Socket("tcp4"); err != nil {
		t.Fatal(err)
	}
	if err := s.socket.Connect(netip.AddrPortFrom(s.steers.Addr4, lab.EchoPort)); err != nil {
		t.Fatal(err)
	}
	seen, _, err := s.socket.Recv()
	if got := s.Uplink("vpn0").Addr4.String(); err != nil || strings.TrimSpace(string(seen)) != got {
		t.Fatalf("the server saw %q, %v; want vpn0's %s", seen, err, got)
	}
	return s
}

// steered fails unless new connections go where the rules say.
func (s *stage) steered(t *testing.T) {
	t.Helper()
	for _, to := range []lab.Host{s.steers, s.added} {
		for _, kind := range []via.Kind{via.TCP4, via.TCP6, via.UDP4} {
			if got := via.Out(s.Lab, s.agent, kind, to); got != "vpn0" {
				t.Errorf("a new connection by %s went by %s, want vpn0", kind, got)
			}
		}
	}
}

// lives fails unless the open connection carries words both ways.
func (s *stage) lives(t *testing.T) {
	t.Helper()
	if err := s.socket.Send([]byte("still here\n")); err != nil {
		t.Errorf("the open connection broke: %v", err)
	}
	if got, _, err := s.socket.Recv(); err != nil || string(got) != "still here\n" {
		t.Errorf("the open connection broke: %q, %v", got, err)
	}
}

// ids are the numbers of the programs in the kernel.
func (h *host) ids() map[string]uint32 {
	var data struct {
		Programs []struct {
			Name string
			ID   uint32
		}
	}
	h.JSON(&data, "status")
	all := map[string]uint32{}
	for _, p := range data.Programs {
		all[p.Name] = p.ID
	}
	return all
}

// Installed, upgraded while connections run, removed, installed again, purged twice: each time what a user would expect,
// and in the end nothing is left.
func TestLife(t *testing.T) {
	before := files(t)
	s := newStage(t, oldVersion)
	rules, learnt, ids := s.must(program, "rule", "list"), s.Learnt(), s.ids()

	out := s.install(newVersion)
	said(t, out, "updated; observers")
	if strings.Contains(out, "caches are left alone") {
		t.Errorf("an upgrade tells of caches:\n%s", out)
	}
	if got := s.must(program, "rule", "list"); got != rules {
		t.Errorf("rules were\n%sand are\n%s", rules, got)
	}
	if got := s.Learnt(); len(got) != len(learnt) || len(got) == 0 {
		t.Errorf("%d names were learnt, %d are", len(learnt), len(got))
	}
	for name, id := range s.ids() {
		if ids[name] == id {
			t.Errorf("%s is the old program", name)
		}
	}
	s.lives(t)
	s.steered(t)

	s.must("dpkg", "-r", "domain-route")
	s.nothingInKernel()
	s.lives(t)
	if text, err := os.ReadFile(config); err != nil || !strings.Contains(string(text), "steered.test") {
		t.Errorf("the configuration is gone: %v", err)
	}

	// It comes back with the configuration, and is no upgrade.
	said(t, s.install(newVersion), "started; observers")
	if got := s.must(program, "rule", "list"); got != "steered.test vpn0\n" {
		t.Errorf("rules after it was installed again: %q", got)
	}
	s.must("dpkg", "-P", "domain-route")
	s.nothingInKernel()
	if left := more(before, files(t)); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	if gone := more(files(t), before); len(gone) > 0 {
		t.Errorf("gone with it:\n%s", strings.Join(gone, "\n"))
	}
	if out, err := s.try("dpkg", "-P", "domain-route"); err != nil {
		t.Errorf("purged again: %v\n%s", err, out)
	}
}

// An upgrade to programs with other maps carries rules and settings over, and says what is forgotten.
func TestOtherLayout(t *testing.T) {
	s := newStage(t, otherLayout)
	s.must(program, "start", "--history=no", "--audit=yes", "--observe", "sockets")
	rules := s.must(program, "rule", "list")
	if r := s.Run("rule", "list"); r.Code != 2 || !strings.Contains(r.Stderr, "layout") {
		t.Fatalf("the new program takes the old one's maps for its own: %+v", r)
	}
	said(t, s.install(newVersion), "carried over", "learnt names are forgotten", "look-up: 2 names: 2 answered")
	if got := s.must(program, "rule", "list"); got != rules {
		t.Errorf("rules were\n%sand are\n%s", rules, got)
	}
	var status struct {
		Observers      []string
		History, Audit bool
	}
	s.JSON(&status, "status")
	if len(status.Observers) != 1 || status.History || !status.Audit {
		t.Errorf("it was started with other settings: %+v", status)
	}
	s.lives(t)
	s.steered(t) // by what was looked up
	if _, err := os.Stat(saved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", saved, err)
	}
}

// What the new program cannot start is told, the rules are kept where they are found again, and dpkg is content.
func TestOtherLayoutFails(t *testing.T) {
	s := newStage(t, otherLayout)
	rules := s.must(program, "rule", "list")
	s.configure("rulez: []\n")
	s.policy("exit 0")
	if err := unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	said(t, s.install(newVersion), "could not carry the rules over", saved+"/rules")
	if err := unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(saved + "/rules"); err != nil || string(kept) != rules {
		t.Errorf("kept: %q, %v; want %q", kept, err, rules)
	}
	if st, err := os.Stat(saved); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", saved, st.Mode(), err)
	}
	// Once more, it works: the only copy of the rules was not thrown away by the next preinst.
	s.configure("rules: []\n")
	said(t, s.install(newVersion), "carried over")
	if got := s.must(program, "rule", "list"); got != rules {
		t.Errorf("rules were\n%sand are\n%s", rules, got)
	}
}

// What was installed by hand and runs, of another layout, is carried over by the package that takes its place.
func TestByHand(t *testing.T) {
	for _, by := range []string{program, "/usr/local/sbin/domain-route"} {
		t.Run(by, func(t *testing.T) {
			h := newHost(t)
			unpacked := t.TempDir()
			run(t, "dpkg-deb", "-x", pack(t, "deb", otherLayout), unpacked)
			run(t, "install", "-D", "-m", "0755", filepath.Join(unpacked, program), by)
			t.Cleanup(func() { _ = os.Remove(by) })
			h.must(by, "start", "--observe", "sockets")
			h.must(by, "rule", "add", "added.test", "vpn0", "user=7")
			rules := h.must(by, "rule", "list")
			out := h.install(newVersion)
			said(t, out, "carried over")
			if by != program {
				said(t, out, by+" is there, too")
			}
			if got := h.must(program, "rule", "list"); got != rules {
				t.Errorf("rules were\n%sand are\n%s", rules, got)
			}
		})
	}
}

// An upgrade changes how it runs in nothing, whatever the configuration says by now, with an error in it or not.
func TestSettingsStay(t *testing.T) {
	h := newHost(t)
	h.install(oldVersion)
	h.must(program, "start", "--observe", "sockets", "--audit=yes")
	for _, text := range []string{"history: no\naudit: no\nobserve: [libc]\ncgroup: /sys/fs/cgroup\n", "rulez: []\n"} {
		h.configure(text)
		ids := h.ids()
		said(t, h.install(newVersion), "updated; observers")
		for name, id := range h.ids() {
			if ids[name] == id {
				t.Errorf("%s is the old program", name)
			}
		}
		var status struct {
			Observers      []string
			History, Audit bool
		}
		h.JSON(&status, "status")
		if len(status.Observers) != 1 || status.Observers[0] != "sockets" || !status.History || !status.Audit {
			t.Errorf("with %q it runs otherwise than before: %+v", text, status)
		}
	}
}

// What dpkg calls when others' failures end what it had begun: what ran runs, what was off is off.
func TestCalledOff(t *testing.T) {
	h := newHost(t)
	h.install(newVersion)
	scripts := func(name string, args ...string) string {
		return h.must("/var/lib/dpkg/info/domain-route."+name, args...)
	}
	h.must(program, "rule", "add", "added.test", "vpn0")
	scripts("prerm", "remove", "in-favour", "other", "1")
	h.nothingInKernel()
	scripts("postinst", "abort-remove", "in-favour", "other", "1")
	if got := h.must(program, "rule", "list"); got != "added.test vpn0\n" {
		t.Errorf("after a removal that was called off the rules are %q", got)
	}
	scripts("preinst", "upgrade", newVersion+"-1", "99")
	ids := h.ids()
	scripts("postinst", "abort-upgrade", "99")
	scripts("prerm", "deconfigure", "in-favour", "other", "1")
	scripts("postinst", "abort-deconfigure", "in-favour", "other", "1")
	for name, id := range h.ids() {
		if ids[name] != id {
			t.Errorf("%s was touched, although nothing was upgraded", name)
		}
	}
	h.must(program, "stop")
	scripts("prerm", "remove")
	scripts("postinst", "abort-remove")
	scripts("preinst", "upgrade", newVersion+"-1", "99")
	scripts("postinst", "abort-upgrade", "99")
	h.nothingInKernel()
	scripts("preinst", "install", newVersion+"-1", "99")
	scripts("postrm", "abort-install", newVersion+"-1", "99")
	if _, err := os.Stat(saved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", saved, err)
	}
}

// Where nothing was started, or a policy forbids it, packages come and go without a start, an update or a stop.
func TestPolicy(t *testing.T) {
	h := newHost(t)
	h.policy("exit 101")
	h.install(oldVersion)
	h.nothingInKernel()
	h.install(newVersion)
	h.nothingInKernel()
	h.must(program, "start")
	ids := h.ids()
	said(t, h.install(oldVersion), "a policy forbids")
	said(t, h.must("dpkg", "-r", "domain-route"), "a policy forbids", "rm -r "+pinned)
	for name, id := range h.ids() {
		if ids[name] != id {
			t.Errorf("%s is another program than before", name)
		}
	}
	h.must("rm", "-r", pinned)
	h.nothingInKernel()
}

// Stopped by hand, it is not started by an upgrade.
func TestStaysStopped(t *testing.T) {
	h := newHost(t)
	h.install(oldVersion)
	h.must(program, "stop")
	h.install(newVersion)
	h.nothingInKernel()
}

// A configuration with an error, or a kernel that refuses, fails neither installation nor removal, and is told.
func TestRefused(t *testing.T) {
	h := newHost(t)
	h.configure("rulez: []\n")
	said(t, h.must("dpkg", "--force-confold", "-i", pack(t, "deb", newVersion)), "rulez", "could not be started")
	h.nothingInKernel()
	h.configure("rules: []\n")
	h.must(program, "start")
	if err := unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	said(t, h.must("dpkg", "-P", "domain-route"), "could not stop it", "rm -r "+pinned, "still in the kernel")
	if err := unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	h.must("rm", "-r", pinned)
	h.nothingInKernel()
	if _, err := os.Stat(filepath.Dir(config)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the configuration is left: %v", err)
	}
}

// In a chroot the package leaves alone what the system around it runs in the same kernel.
func TestChroot(t *testing.T) {
	h := newHost(t)
	h.install(oldVersion)
	h.must(program, "rule", "add", "a.test", "vpn0")
	ids := h.ids()
	root := chroot(t)
	for _, args := range [][]string{{"-i", "/new.deb"}, {"-i", "/new.deb"}, {"-P", "domain-route"}} {
		if out, err := h.try("chroot", append([]string{root, "dpkg"}, args...)...); err != nil {
			t.Fatalf("dpkg %s in a chroot: %v\n%s", args, err, out)
		}
	}
	if got := h.must(program, "rule", "list"); got != "a.test vpn0\n" {
		t.Errorf("rules are now %q", got)
	}
	for name, id := range h.ids() {
		if ids[name] != id {
			t.Errorf("%s is another program than before", name)
		}
	}
}

// chroot makes a directory that is a Debian, with the kernel's file systems in it.
func chroot(t *testing.T) string {
	t.Helper()
	layers := t.TempDir()
	mount(t, "layers", layers, "tmpfs", 0)
	root := filepath.Join(layers, "root")
	for _, dir := range []string{"etc", "var", "usr"} {
		upper, work, at := filepath.Join(layers, dir+"-upper"), filepath.Join(layers, dir+"-work"), filepath.Join(root, dir)
		for _, d := range []string{upper, work, at} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Mount("chroot", at, "overlay", 0, "lowerdir=/"+dir+",upperdir="+upper+",workdir="+work); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == "proc" || dir == "sys" || dir == "dev" {
			mount(t, "/"+dir, filepath.Join(root, dir), "", unix.MS_BIND|unix.MS_REC)
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(pack(t, "deb", newVersion))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "new.deb"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}
