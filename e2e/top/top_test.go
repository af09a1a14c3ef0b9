package top

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
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
	m.wait("domain-route on", "[1 Rules", "vpn0", "vpn9", "does not exist")
	connect("www.example.com")
	connect("ads.example")
	connect("gone.example")
	text := m.wait("example.com", "steered", "blocked", "refused", "no_interface", "block")
	t.Logf("\n%s", text)
	m.press("2")
	m.wait("[2 Interfaces", ">vpn0")
	m.press("4")
	m.wait("[4 Names", "www.example.com", "decides")
	m.press("/gone\r")
	if text := m.wait("filter: gone", "[4 Names 2]"); strings.Contains(text, "www.example.com") {
		t.Errorf("the filter lets everything through:\n%s", text)
	}
	m.press("\x1b")
	m.wait("[4 Names", "www.example.com")
	m.press("1gp")
	m.wait("PAUSED", "[1 Rules")
	m.press("p?")
	m.wait("Help", "the panes:")
	m.press("\x1b")
	m.wait("[1 Rules")
	m.press("/example.com\r\r")
	t.Logf("\n%s", m.wait("Explain example.com", "-> vpn0", "Esc back"))
	m.press("\x1b")
	m.wait("[1 Rules")
	// Smaller, and larger.
	for _, size := range [][2]int{{60, 15}, {132, 43}} {
		m.mu.Lock()
		m.screen.Resize(size[0], size[1])
		m.mu.Unlock()
		check(t, pty.Setsize(m.tty, &pty.Winsize{Cols: uint16(size[0]), Rows: uint16(size[1])}))
		want := "TOTAL"
		if size[0] == 132 {
			want = "USER"
		}
		m.wait("domain-route on", want)
	}
	h.Must("stop")
	m.wait("OFF: domain-route start")
	m.press("q")
	<-m.ended
	if code := exitCode(m.cmd.Cmd); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// However it ends, the terminal is as it was.
func TestEnds(t *testing.T) {
	h, connect := world(t)
	connect("www.example.com")
	for _, c := range []struct {
		how  string
		do   func(*terminal)
		code int // -1: by a signal
	}{
		{"q", func(m *terminal) { m.press("q") }, 0},
		{"Ctrl-C", func(m *terminal) { m.press("\x03") }, 0},
		{"SIGTERM", func(m *terminal) { signal(m, m.cmd.Process.Pid, unix.SIGTERM) }, 0},
		{"SIGHUP", func(m *terminal) { signal(m, m.cmd.Process.Pid, unix.SIGHUP) }, 0},
		{"SIGINT", func(m *terminal) { signal(m, m.cmd.Process.Pid, unix.SIGINT) }, 0},
		{"SIGTERM to all", func(m *terminal) { signal(m, -m.cmd.Process.Pid, unix.SIGTERM) }, 0},
		{"SIGKILL of what draws", func(m *terminal) { signal(m, m.child(), unix.SIGKILL) }, 3},
		{aCrash, func(m *terminal) { signal(m, m.child(), unix.SIGABRT) }, 2},
		{"SIGKILL of what guards", func(m *terminal) { signal(m, m.cmd.Process.Pid, unix.SIGKILL) }, -1},
	} {
		t.Run(c.how, func(t *testing.T) {
			m := open(t, h, 80, 24, nil)
			m.wait("domain-route on", "does not exist")
			if !m.screen.IsAltScreen() {
				t.Error("it draws over the main screen")
			}
			c.do(m)
			m.wantAsBefore(c.how)
			if code := exitCode(m.cmd.Cmd); code != c.code {
				t.Errorf("%s: exit %d, want %d\n%s", c.how, code, c.code, m.text())
			}
		})
	}
	// Their watchers' places are free again, or will be.
	m := open(t, h, 80, 24, nil)
	m.wait("domain-route on")
	m.press("q")
	m.wantAsBefore("q again")
}

func signal(m *terminal, pid int, s unix.Signal) {
	m.t.Helper()
	check(m.t, unix.Kill(pid, s))
}

// Ctrl-Z goes to the shell, with the terminal as it was, and fg comes back.
func TestSuspend(t *testing.T) {
	h, connect := world(t)
	connect("www.example.com")
	script := fmt.Sprintf(`set -m; %s top; echo "stopped $?"; read word; fg >/dev/null; echo "ended $?"`, harness.Binary(t))
	m := open(t, h, 80, 24, nil, "/bin/sh", "-c", script)
	m.wait("domain-route on", "does not exist")
	m.press("\x1a")
	if text := m.wait("words from before", "stopped 148"); strings.Contains(text, "domain-route on") {
		t.Errorf("the screen stays:\n%s", text)
	}
	now, err := unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
	check(t, err)
	if *now != m.before {
		t.Error("the terminal's modes stay while it is stopped")
	}
	m.press("x\n")
	m.wait("domain-route on", "does not exist", "[1 Rules")
	m.press("2")
	m.wait("[2 Interfaces")
	m.press("q")
	m.wait("words from before", "ended 0")
}

// Without colours there are none, and without UTF-8 nothing but ASCII.
func TestPlainTerminals(t *testing.T) {
	h, connect := world(t)
	connect("www.example.com")
	kinds := []struct {
		env     []string
		colours bool
		ascii   bool
		m       *terminal
	}{
		{env: []string{"TERM=xterm-256color"}, colours: true},
		{env: []string{"TERM=xterm-256color", "NO_COLOR=1"}},
		{env: []string{"TERM=linux", "LC_ALL=C.UTF-8"}, colours: true, ascii: true},
		{env: []string{"TERM=vt100", "LC_ALL=C"}, ascii: true},
	}
	for i := range kinds {
		kinds[i].m = open(t, h, 80, 24, kinds[i].env)
		kinds[i].m.wait("domain-route on", "does not exist")
	}
	connect("www.example.com")
	for _, c := range kinds {
		full := "\u2588"
		if c.ascii {
			full = "@"
		}
		c.m.wait(full) // of the sparkline
		c.m.press("q")
		c.m.wantAsBefore(fmt.Sprint(c.env))
		raw := c.m.written()
		if colours := strings.Contains(raw, "\x1b[31m") || strings.Contains(raw, "\x1b[1;36m") || strings.Contains(raw, "\x1b[91m"); colours != c.colours {
			t.Errorf("%v: colours: %v", c.env, colours)
		}
		if ascii := strings.IndexFunc(raw, func(r rune) bool { return r > 0x7e }) < 0; ascii != c.ascii {
			t.Errorf("%v: nothing but ASCII: %v", c.env, ascii)
		}
	}
}

// watch has columns on a terminal.
func TestWatchOnTerminal(t *testing.T) {
	h, connect := world(t)
	m := open(t, h, 80, 24, nil, harness.Binary(t), "watch", "--name", "example.com")
	m.wait("TIME     KIND    PROCESS        NAME                ADDRESS           WHERE")
	connect("www.example.com")
	t.Logf("\n%s", m.wait("learnt ", "steered exe/", "www.example.com", "vpn0"))
	m.press("\x03")
	<-m.ended
	if code := exitCode(m.cmd.Cmd); code != 0 {
		t.Errorf("Ctrl-C: exit %d", code)
	}
}

// What others call themselves does not reach the terminal as it is.
func TestHostileNames(t *testing.T) {
	h, _ := world(t)
	m := open(t, h, 120, 30, nil)
	m.wait("domain-route on")
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
	m.wait("evil.example.com", `a\x1b]0;x`)
	m.press("q")
	m.wantAsBefore("q")
	if strings.Contains(m.written(), "\x1b]0;x") {
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
		m.wait("words from before")
		m.wait(c.want)
		m.wantAsBefore(c.env)
		if code := exitCode(m.cmd.Cmd); code != c.code {
			t.Errorf("%s: exit %d, want %d", c.env, code, c.code)
		}
		if strings.Contains(m.written(), "\x1b") {
			t.Errorf("%s: it draws", c.env)
		}
	}
}
