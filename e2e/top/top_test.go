package top

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/terminal"
	"github.com/domain-route/domain-route/internal/lab"
)

// world has a site that is steered, one that is blocked, and a rule that leads nowhere.
func world(t *testing.T) (*harness.Host, func(name string)) {
	h := harness.Started(t)
	sites := map[string]lab.Host{}
	for name, target := range map[string]string{"www.example.com": "vpn0", "ads.example": "block", "gone.example": "vpn9"} {
		sites[name] = h.MustHost(name)
		h.Must("rule", "add", strings.TrimPrefix(name, "www."), target)
	}
	a := h.MustAgent(lab.AgentOptions{})
	return h, func(name string) {
		t.Helper()
		if _, err := a.Resolve(lab.Query{Name: name, Type: dns.TypeA}); err != nil {
			t.Fatal(err)
		}
		seen, err := a.DialTCP(netip.AddrPortFrom(sites[name].Addr4, lab.EchoPort))
		if name == "www.example.com" && (err != nil || seen != h.Uplink("vpn0").Addr4.String()) {
			t.Fatalf("%s saw %q, %v", name, seen, err)
		}
	}
}

// What happens is on the screen, and the keys do what they say.
func TestShows(t *testing.T) {
	h, connect := world(t)
	m := open(t, h, 80, 24, nil)
	m.Wait("domain-route on", "[1 Rules", "vpn0", "vpn9", "does not exist")
	connect("www.example.com")
	connect("ads.example")
	connect("gone.example")
	text := m.Wait("example.com", "steered", "blocked", "refused", "no_interface", "block")
	t.Logf("\n%s", text)
	m.Press("2")
	m.Wait("[2 Interfaces", ">vpn0")
	m.Press("4")
	m.Wait("[4 Names", "www.example.com", "decides")
	m.Press("/gone\r")
	if text := m.Wait("filter: gone", "[4 Names 2]"); strings.Contains(text, "www.example.com") {
		t.Errorf("the filter lets everything through:\n%s", text)
	}
	m.Press("\x1b")
	m.Wait("[4 Names", "www.example.com")
	m.Press("1gp")
	m.Wait("PAUSED", "[1 Rules")
	m.Press("p?")
	m.Wait("Help", "the panes:")
	m.Press("\x1b")
	m.Wait("[1 Rules")
	m.Press("/example.com\r\r")
	t.Logf("\n%s", m.Wait("Explain example.com", "-> vpn0", "Esc back"))
	m.Press("\x1b")
	m.Wait("[1 Rules")
	// Smaller, and larger.
	for _, size := range [][2]int{{60, 15}, {132, 43}} {
		m.Resize(size[0], size[1])
		want := "TOTAL"
		if size[0] == 132 {
			want = "USER"
		}
		m.Wait("domain-route on", want)
	}
	h.Must("stop")
	m.Wait("OFF: domain-route start")
	m.Press("\x1b")
	m.Wait("s sort") // no filter
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "again.example", "vpn0")
	m.Wait("domain-route on", "rules 1")
	again := h.MustHost("again.example")
	a := h.MustAgent(lab.AgentOptions{})
	eventually(t, "the events of what was started again", func() bool { // it watches again within a second
		_, err := a.Resolve(lab.Query{Name: "again.example", Type: dns.TypeA})
		check(t, err)
		_, _ = a.DialTCP(netip.AddrPortFrom(again.Addr4, lab.EchoPort))
		text := m.Text()
		return strings.Contains(text, "learnt ") && strings.Contains(text, " again.example")
	})
	m.Press("q")
	if code := m.End(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// What top and watch do to a terminal, on one host.
func TestTerminal(t *testing.T) {
	h, connect := world(t)
	connect("www.example.com")
	for name, test := range map[string]func(*testing.T, *harness.Host, func(string)){
		"ends": testEnds, "guard killed": testGuardKilled, "nobody reads": testNobodyReads, "suspended": testSuspend,
		"suspended, ends": testSuspendedEnds, "plain": testPlainTerminals,
		"watch": testWatch, "hostile names": testHostileNames,
	} {
		t.Run(name, func(t *testing.T) { test(t, h, connect) })
	}
}

// However it ends, the terminal is as it was.
func testEnds(t *testing.T, h *harness.Host, _ func(string)) {
	for _, c := range []struct {
		how  string
		do   func(*testing.T, *terminal.Terminal)
		code int
	}{
		{"q", func(_ *testing.T, m *terminal.Terminal) { m.Press("q") }, 0},
		{"Ctrl-C", func(_ *testing.T, m *terminal.Terminal) { m.Press("\x03") }, 0},
		{"SIGTERM", func(t *testing.T, m *terminal.Terminal) { signal(t, m.Cmd.Process.Pid, unix.SIGTERM) }, 0},
		{"SIGHUP", func(t *testing.T, m *terminal.Terminal) { signal(t, m.Cmd.Process.Pid, unix.SIGHUP) }, 0},
		{"SIGINT", func(t *testing.T, m *terminal.Terminal) { signal(t, m.Cmd.Process.Pid, unix.SIGINT) }, 0},
		{"SIGTERM to all", func(t *testing.T, m *terminal.Terminal) { signal(t, -m.Cmd.Process.Pid, unix.SIGTERM) }, 0},
		{"SIGKILL of what draws", func(t *testing.T, m *terminal.Terminal) { signal(t, child(t, m), unix.SIGKILL) }, 3},
		{aCrash, func(t *testing.T, m *terminal.Terminal) { signal(t, child(t, m), unix.SIGABRT) }, 2},
	} {
		t.Run(c.how, func(t *testing.T) {
			m := open(t, h, 80, 24, nil)
			m.Wait("domain-route on", "does not exist")
			if screen, _ := m.Main(); screen {
				t.Error("it draws over the main screen")
			}
			// Nothing is drawn before the alternate screen is there.
			if _, drawn, _ := strings.Cut(m.Written(), "$ "); !strings.HasPrefix(drawn, "\x1b[?1049h") {
				t.Errorf("it begins with %q", drawn[:min(len(drawn), 60)])
			}
			c.do(t, m)
			wantAsBefore(t, m, c.how)
			if code := m.End(); code != c.code {
				t.Errorf("%s: exit %d, want %d\n%s", c.how, code, c.code, m.Text())
			}
		})
	}
	// Their watchers' places are free again, or will be.
	m := open(t, h, 80, 24, nil)
	m.Wait("domain-route on")
	m.Press("q")
	wantAsBefore(t, m, "q again")
}

// With what guards killed, what draws ends by itself, also where a shell keeps the session.
func testGuardKilled(t *testing.T, h *harness.Host, _ func(string)) {
	m := open(t, h, 80, 24, nil, "/bin/sh", "-c", harness.Binary(t)+" top; read word")
	m.Wait("domain-route on")
	signal(t, child(t, m), unix.SIGKILL)
	eventually(t, "the terminal as it was", func() bool {
		screen, cursor := m.Main()
		return screen && cursor && m.Modes() == m.Before
	})
	m.Press("x\n")
	wantAsBefore(t, m, "SIGKILL of what guards")
}

// Ctrl-Z goes to the shell, with the terminal as it was, and fg comes back.
func testSuspend(t *testing.T, h *harness.Host, _ func(string)) {
	script := fmt.Sprintf(`set -m; %s top; echo "stopped $?"; read word; fg >/dev/null; echo "ended $?"`, harness.Binary(t))
	m := open(t, h, 80, 24, nil, "/bin/sh", "-c", script)
	m.Wait("domain-route on", "does not exist")
	m.Press("\x1a")
	if text := m.Wait("words from before", "stopped 148"); strings.Contains(text, "domain-route on") {
		t.Errorf("the screen stays:\n%s", text)
	}
	if m.Modes() != m.Before {
		t.Error("the terminal's modes stay while it is stopped")
	}
	m.Press("x\n")
	m.Wait("domain-route on", "does not exist", "[1 Rules")
	m.Press("2")
	m.Wait("[2 Interfaces")
	m.Press("q")
	m.Wait("words from before", "ended 0")
}

// Stopped, and then continued in the background, it stays stopped; and ends when the shell tells it to.
func testSuspendedEnds(t *testing.T, h *harness.Host, _ func(string)) {
	script := fmt.Sprintf(`set -m; %s top; bg >/dev/null; until jobs | grep -q Stopped; do sleep 0.05; done; jobs
kill %%1; wait; echo "ended $?"; read word`, harness.Binary(t))
	m := open(t, h, 80, 24, nil, "bash", "-c", script)
	m.Wait("domain-route on")
	m.Press("\x1a")
	if text := m.Wait("words from before", "Stopped", "ended 0"); strings.Contains(text, "domain-route on") {
		t.Errorf("it draws:\n%s", text)
	}
	if m.Modes() != m.Before {
		t.Error("the terminal's modes are left")
	}
	m.Press("x\n")
	m.End()
}

// Without colours there are none, and without UTF-8 nothing but ASCII.
func testPlainTerminals(t *testing.T, h *harness.Host, connect func(string)) {
	kinds := []struct {
		env     []string
		colours bool
		ascii   bool
		m       *terminal.Terminal
	}{
		{env: []string{"TERM=xterm-256color"}, colours: true},
		{env: []string{"TERM=xterm-256color", "NO_COLOR=1"}},
		{env: []string{"TERM=linux", "LC_ALL=C.UTF-8"}, colours: true, ascii: true},
		{env: []string{"TERM=vt100", "LC_ALL=C"}, ascii: true},
	}
	for i := range kinds {
		kinds[i].m = open(t, h, 80, 24, kinds[i].env)
		kinds[i].m.Wait("domain-route on", "does not exist")
	}
	connect("www.example.com")
	for _, c := range kinds {
		full := "\u2588"
		if c.ascii {
			full = "@"
		}
		c.m.Wait(full) // of the sparkline
		c.m.Press("q")
		wantAsBefore(t, c.m, fmt.Sprint(c.env))
		raw := c.m.Written()
		if colours := strings.Contains(raw, "\x1b[31m") || strings.Contains(raw, "\x1b[1;36m") || strings.Contains(raw, "\x1b[91m"); colours != c.colours {
			t.Errorf("%v: colours: %v", c.env, colours)
		}
		if ascii := strings.IndexFunc(raw, func(r rune) bool { return r > 0x7e }) < 0; ascii != c.ascii {
			t.Errorf("%v: nothing but ASCII: %v", c.env, ascii)
		}
	}
}

// watch has columns on a terminal.
func testWatch(t *testing.T, h *harness.Host, connect func(string)) {
	m := open(t, h, 80, 24, nil, harness.Binary(t), "watch", "--name", "example.com")
	m.Wait("TIME     KIND    PROCESS       NAME            ADDRESS           WHERE")
	connect("www.example.com")
	t.Logf("\n%s", m.Wait("learnt ", "steered exe/", "www.example.com", "vpn0, sockets"))
	// In a wider one the lines are wider, under a heading of their own.
	m.Resize(200, 24)
	eventually(t, "the wider columns", func() bool {
		connect("www.example.com")
		text := m.Text()
		return strings.Contains(text, "USER") && strings.Contains(text, "vpn0, sockets, 60 s")
	})
	m.Press("\x03")
	if code := m.End(); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
}

// What others call themselves does not reach the terminal as it is.
func testHostileNames(t *testing.T, h *harness.Host, _ func(string)) {
	m := open(t, h, 120, 30, nil)
	m.Wait("domain-route on")
	site := h.MustHost("evil.example.com")
	if _, err := h.MustAgent(lab.AgentOptions{}).Resolve(lab.Query{Name: "evil.example.com", Type: dns.TypeA}); err != nil {
		t.Fatal(err)
	}
	// A process is called by what was executed.
	shell, err := exec.LookPath("bash")
	harness.Need(t, err == nil, "bash")
	link := filepath.Join(h.Dir, "a\x1b]0;x\x07\xff")
	check(t, os.Symlink(shell, link))
	out, err := h.Command(t.Context(), link, "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", site.Addr4, lab.EchoPort)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.Wait("evil.example.com", `a\x1b]0;x`)
	m.Press("q")
	wantAsBefore(t, m, "q")
	if strings.Contains(m.Written(), "\x1b]0;x") {
		t.Error("it reaches the terminal")
	}
}

// Where there is no screen it says so, in one line.
func TestRefuses(t *testing.T) {
	h := harness.New(t, lab.Options{})
	if r := h.Run("top"); r.Code != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, "domain-route watch, or domain-route status") || strings.Count(r.Stderr, "\n") != 1 {
		t.Errorf("no terminal: exit %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}
	for _, c := range []struct {
		env  string
		want string
		code int
	}{
		{"TERM=dumb", "no screen to draw on", 2},
		{"TERM=xterm", "first: domain-route start", 1},
	} {
		m := open(t, h, 80, 24, []string{c.env})
		m.Wait("words from before")
		m.Wait(c.want)
		wantAsBefore(t, m, c.env)
		if code := m.End(); code != c.code {
			t.Errorf("%s: exit %d, want %d", c.env, code, c.code)
		}
		if strings.Contains(m.Written(), "\x1b") {
			t.Errorf("%s: it draws", c.env)
		}
	}
}
