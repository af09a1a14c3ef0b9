// Package screens makes docs/screens.md: what the commands that are looked at print, of the real program in the lab. With
// -update it is written anew; without, the test looks whether it still has the words that they print.
package screens

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/terminal"
	"github.com/domain-route/domain-route/internal/lab"
)

var update = flag.Bool("update", false, "write docs/screens.md anew")

const page = "../../docs/screens.md"

const preface = `# Screens

What the commands print, on a terminal of 80 columns: of the real program, in the lab that the tests use. This page is written by
` + "`go test ./e2e/screens -update`" + `; the tests look whether it still has the same words.
`

const config = `targets:
  office: {chain: [vpn0], else: block}
rules:
  - match: [example.com, video.example]
    target: office
  - match: static.example.com
    target: direct
  - match: ads.example
    target: block
  - match: mobile.example
    target: wwan0
`

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// A screen is a section of the page.
type screen struct {
	title, text string
	args        []string // of domain-route
	make        func(w *world, args []string) string
	machine     bool // what it says is the machine's: its words are not compared
}

var screens = []screen{
	{title: "top", text: "`domain-route top` while connections are made. `?` tells the keys; Enter explains the selected line.", args: []string{"top"}, make: (*world).top},
	{title: "watch", text: "`domain-route watch` shows events as they happen.", args: []string{"watch"}, make: (*world).watch},
	{title: "status", text: "`domain-route status` is the front page.", args: []string{"status"}, make: (*world).print, machine: true},
	{title: "explain", text: "`domain-route explain www.example.com` says why a connection goes where it goes.",
		args: []string{"explain", "www.example.com"}, make: (*world).print},
	{title: "explain, of what is refused", text: "`domain-route explain mobile.example`, whose interface does not exist.",
		args: []string{"explain", "mobile.example"}, make: (*world).print},
	{title: "doctor", text: "`domain-route doctor` says what will not work on this machine, with the cure.", args: []string{"doctor"}, make: (*world).print, machine: true},
}

func TestScreens(t *testing.T) {
	w := newWorld(t)
	before, err := os.ReadFile(page)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(preface)
	for _, s := range screens {
		text := w.tidy(s.make(w, s.args))
		if strings.TrimSpace(text) == "" {
			t.Errorf("%s prints nothing", s.title)
		}
		fmt.Fprintf(&out, "\n## %s\n%s\n\n```text\n%s```\n", s.title, s.text, text)
		have, _, _ := strings.Cut(section(string(before), s.title), "\n## ")
		if diff := cmp.Diff(words(have), words(s.text+text)); diff != "" && !s.machine && !*update {
			t.Errorf("docs/screens.md is older than %s; write it anew: go test ./e2e/screens -update (-page +now):\n%s\n%s", s.title, diff, text)
		}
	}
	if *update {
		if err := os.WriteFile(page, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// section is the text of the page behind a heading.
func section(page, title string) string {
	_, text, _ := strings.Cut(page, "\n## "+title+"\n")
	return text
}

var word = regexp.MustCompile(`[A-Za-z_]{3,}`)

// words are all there are in a text, each once: figures, order and layout are left out. A month is none.
func words(text string) []string {
	found := word.FindAllString(text, -1)
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(w string) bool { return w == "text" })
}

// world has a host with a configuration, and programs on it.
type world struct {
	*harness.Host
	t      testing.TB
	config string
}

func newWorld(t testing.TB) *world {
	h := harness.New(t, lab.Options{})
	w := &world{Host: h, t: t, config: filepath.Join(h.Dir, "config.yaml")}
	if err := os.WriteFile(w.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"www.example.com", "cdn.video.example", "static.example.com", "ads.example", "mobile.example"} {
		w.MustHost(name)
	}
	w.Must("start", "--config", w.config, "--cgroup", w.Cgroup)
	w.MustAgent(lab.AgentOptions{}) // a program in the cgroup
	return w
}

// visit has a program of a name connect to a name, which it looks up by itself.
func (w *world) visit(program, name string) {
	w.t.Helper()
	shell, err := exec.LookPath("bash")
	harness.Need(w.t, err == nil, "bash")
	link := filepath.Join(w.Dir, program)
	if _, err := os.Lstat(link); err != nil {
		if err := os.Symlink(shell, link); err != nil {
			w.t.Fatal(err)
		}
	}
	_ = w.Command(context.Background(), link, "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%d", name, lab.EchoPort)).Run()
}

// visits are a second's.
func (w *world) visits(second int) {
	for range 2 + second%3 {
		w.visit("curl", "www.example.com")
	}
	w.visit("mpv", "cdn.video.example")
	if second%2 == 0 {
		w.visit("firefox", "ads.example")
	}
	w.visit("firefox", "static.example.com")
	w.visit("ssh", "mobile.example")
}

// open runs domain-route on a terminal.
func (w *world) open(height int, args []string) *terminal.Terminal {
	return terminal.Open(w.t, w.Host, 80, height, "", nil, append([]string{harness.Binary(w.t), "--config", w.config}, args...)...)
}

func (w *world) print(args []string) string {
	m := w.open(200, args)
	m.End()
	return m.Text()
}

func (w *world) top(args []string) string {
	m := w.open(24, args)
	m.Wait("domain-route on")
	for second := range 4 {
		begun := time.Now()
		w.visits(second)
		for time.Since(begun) < time.Second { // the screen goes on by the second
			time.Sleep(10 * time.Millisecond)
		}
	}
	text := m.Wait("example.com", "ads.example", "mobile.example", "steered", "refused", "blocked", "direct ")
	m.Press("q")
	m.End()
	return text
}

func (w *world) watch(args []string) string {
	m := w.open(60, args)
	m.Wait("TIME")
	w.visit("curl", "www.example.com")
	w.visit("firefox", "ads.example")
	w.visit("ssh", "mobile.example")
	text := m.Wait("steered", "mobile.example", "no_interface", "blocked")
	m.Press("\x03")
	m.End()
	return text
}

// tidy takes away what is the lab's.
func (w *world) tidy(text string) string {
	text = strings.NewReplacer("--config "+w.config+" ", "", w.Dir, "/etc/domain-route", w.Cgroup, "/sys/fs/cgroup", "/"+filepath.Base(w.Cgroup), "/", "^C", "").Replace(text)
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n "), "\n") {
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Join(lines, "\n") + "\n"
}
