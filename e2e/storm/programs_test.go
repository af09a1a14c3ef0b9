package storm

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

var (
	//go:embed testdata/storm.c
	sourceC string
	//go:embed testdata/storm.go
	sourceGo string
	//go:embed testdata/storm.py
	sourcePython string
	//go:embed testdata/storm.pl
	sourcePerl string
	//go:embed testdata/storm.sh
	sourceBash string
)

// program visits names until it is told to stop.
type program struct {
	name    string
	command []string
	modes   []string
	// batch is for programs that end by themselves: what one run is given, and what it made of it.
	batch func(family string, names []string) []string
	read  func(out string) map[string]int
	size  int // names that one run is given
}

// programs are eight different ones, of every kind that resolves and connects in its own way.
func programs(t *testing.T, h *harness.Host) []program {
	all := []string{"tcp", "udp", "sendto", "keep"}
	c := write(t, h, "storm.c", sourceC)
	return []program{
		{name: "c-glibc", command: compile(t, h, "storm-glibc", kit.Tool(t, "gcc", "cc"), "-O1", "-Wall", "-Werror", c), modes: all},
		{name: "c-musl", command: compile(t, h, "storm-musl", kit.Tool(t, "musl-gcc"), "-O1", "-static", c), modes: all},
		{name: "go", command: compile(t, h, "storm-go", kit.Tool(t, "go", "/usr/local/go/bin/go"), "build",
			write(t, h, "storm.go", sourceGo)), modes: all},
		{name: "python", command: []string{kit.Tool(t, "/usr/bin/python3", "python3"), "-I", "-S",
			write(t, h, "storm.py", sourcePython)}, modes: []string{"tcp", "udp", "sendto", "asyncio"}},
		{name: "perl", command: []string{kit.Tool(t, "perl"), write(t, h, "storm.pl", sourcePerl)},
			modes: []string{"tcp", "udp", "sendto"}},
		{name: "bash", command: []string{kit.Tool(t, "bash"), write(t, h, "storm.sh", sourceBash)}, modes: []string{"tcp", "udp"}},
		{name: "curl", command: []string{kit.Tool(t, "curl"), "-q", "-s", "--max-time", "1"},
			modes: []string{"tcp"}, batch: curlArguments, read: readCurl, size: 12},
		{name: "ssh-keyscan", command: []string{kit.Tool(t, "ssh-keyscan"), "-T", "1", "-t", "ed25519"},
			modes: []string{"tcp"}, batch: keyscanArguments, read: readKeyscan, size: 2},
	}
}

// compile builds a program that every user can run; -o comes last but for the compiler's own arguments.
func compile(t *testing.T, h *harness.Host, name, compiler string, args ...string) []string {
	t.Helper()
	out := filepath.Join(h.Dir, name)
	at := len(args) - 1
	args = append(append(append([]string{}, args[:at]...), "-o", out), args[at])
	cmd := exec.Command(compiler, args...)
	cmd.Dir, cmd.Env = h.Dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	return []string{out}
}

// write puts a file where every user can read it, gone with the lab.
func write(t *testing.T, h *harness.Host, name, text string) string {
	t.Helper()
	path := filepath.Join(h.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func curlArguments(family string, names []string) []string {
	args := []string{"-" + family, "-w", `%{http_code} %{exitcode}\n`}
	for _, name := range names {
		args = append(args, "-o", "/dev/null", "http://"+name+"/")
	}
	return args
}

// readCurl takes lines of an HTTP status and curl's own number: 7 is an error of connect, 28 a timeout, 6 no address,
// 52 and 56 a connection that ended.
func readCurl(out string) map[string]int {
	ends := map[string]string{"0": "ok", "6": "resolve", "7": "connect", "28": "timeout", "52": "closed", "56": "closed"}
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		_, code, _ := strings.Cut(strings.TrimSpace(line), " ")
		if end := ends[code]; end != "" {
			counts[end]++
		} else {
			counts["curl "+line]++
		}
	}
	return counts
}

func keyscanArguments(family string, names []string) []string {
	return append([]string{"-" + family}, names...)
}

// readKeyscan finds a banner for each connection; what did not come is told in words to nobody's use.
func readKeyscan(out string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		switch {
		case strings.Contains(line, "SSH-2.0-lab"):
			counts["ok"]++
		default:
			counts["connect"]++
		}
	}
	return counts
}

// niceness of the programs.
const niceness = 10

// runner is one program in one mode, of one family, by one user.
type runner struct {
	program
	mode, family string
	uid          uint32
	names        []string
	ends         map[string]int
	err          error
}

func (r *runner) String() string {
	return fmt.Sprintf("%s %s%s uid %d", r.name, r.mode, r.family, r.uid)
}

// run visits until the file stop exists.
func (r *runner) run(ctx context.Context, h *harness.Host, stop string) {
	r.ends = map[string]int{}
	if r.batch == nil {
		args := append([]string{r.mode, r.family, strconv.Itoa(lab.EchoPort), stop}, r.names...)
		var out string
		out, r.err = r.start(ctx, h, args)
		r.add(readCounts(out))
		return
	}
	for batch := range slices.Chunk(slices.Repeat(r.names, 1000), r.size) {
		if _, err := os.Stat(stop); err == nil || ctx.Err() != nil {
			return
		}
		out, err := r.start(ctx, h, r.batch(r.family, batch))
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) { // it says by its exit status that a connection failed
			r.err = err
			return
		}
		r.add(r.read(out))
	}
}

func (r *runner) add(ends map[string]int) {
	for end, n := range ends {
		r.ends[end] += n
	}
}

func (r *runner) start(ctx context.Context, h *harness.Host, args []string) (string, error) {
	cmd := h.Command(ctx, r.command[0], append(r.command[1:len(r.command):len(r.command)], args...)...)
	if r.uid != 0 {
		cmd.AsUser(r.uid)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C"}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	// The commands and the interface have to get on beside ninety programs.
	_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, niceness)
	err := cmd.Wait()
	return out.String(), err
}

// readCounts takes lines of "COUNT END". Programs tell an error by its number or in its words.
func readCounts(out string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		number, end, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			n, end = 1, strings.TrimSpace(line)
		}
		counts[errnoName(end)] += n
	}
	return counts
}

func errnoName(end string) string {
	if n, err := strconv.Atoi(end); err == nil {
		return unix.ErrnoName(unix.Errno(n))
	}
	for n := range unix.Errno(134) {
		if strings.EqualFold(n.Error(), end) {
			return unix.ErrnoName(n)
		}
	}
	return end
}

// runAll runs every program in every mode, by both families, as root and as a user, and returns when all have stopped.
func runAll(ctx context.Context, h *harness.Host, all []*runner, stop string) {
	var wg sync.WaitGroup
	for _, r := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r.run(ctx, h, stop)
		}()
	}
	wg.Wait()
}
