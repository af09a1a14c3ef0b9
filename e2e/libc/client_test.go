package libc

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// user is an ordinary user.
const user = 4242

// patience is how long one run of a program may take.
const patience = time.Minute

//go:embed testdata/client.c
var source string

// program is the client, linked against one C library.
type program struct {
	h    *harness.Host
	path string
	env  []string
}

// programs builds the client for each C library.
func programs(t *testing.T, h *harness.Host) map[string]program {
	t.Helper()
	all := map[string]program{}
	for name, compiler := range map[string]string{"glibc": "gcc", "musl": "musl-gcc"} {
		all[name] = build(t, h, name, kit.Tool(t, compiler))
	}
	return all
}

func glibc(t *testing.T, h *harness.Host) program {
	t.Helper()
	return build(t, h, "glibc", kit.Tool(t, "gcc"))
}

func build(t *testing.T, h *harness.Host, name, compiler string) program {
	t.Helper()
	from := filepath.Join(h.Dir, "client.c")
	p := program{h: h, path: filepath.Join(h.Dir, "client-"+name)}
	if err := os.WriteFile(from, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-O1", "-Wall", "-Werror", "-o", p.path, from).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", compiler, err, out)
	}
	return p
}

// command prepares a run as a user, in the lab's cgroup.
func (p program) command(ctx context.Context, uid uint32, args ...string) *lab.Cmd {
	cmd := p.h.Command(ctx, p.path, args...)
	if uid != 0 {
		cmd.AsUser(uid)
	}
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, p.env...)
	return cmd
}

// outside prepares a visit of ruled.example from outside of the lab's cgroup.
func (p program) outside() *lab.Cmd {
	return p.h.HostCommand(context.Background(), p.path, "getaddrinfo", "ruled.example", strconv.Itoa(lab.EchoPort))
}

// below prepares the same in a cgroup below the lab's.
func (p program) below(t *testing.T, path string) *lab.Cmd {
	t.Helper()
	dir := filepath.Join(p.h.Cgroup, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return p.outside().InCgroup(f)
}

// visits is which source address the servers saw, by the address that was connected to.
type visits map[netip.Addr]string

// visit has a fresh process look a name up and connect.
func (p program) visit(t *testing.T, function, name string) visits {
	t.Helper()
	return p.run(t, function, name, strconv.Itoa(lab.EchoPort))
}

func (p program) run(t *testing.T, args ...string) visits {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs bytes.Buffer
	cmd := p.command(ctx, user, args...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd.Args, err, out, errs.String())
	}
	v, err := readVisits(bufio.NewReader(bytes.NewReader(out)))
	if err != nil {
		t.Fatalf("%s: %v: %q", cmd.Args, err, out)
	}
	return v
}

// readVisits reads until the program says that it is done.
func readVisits(r *bufio.Reader) (visits, error) {
	v := visits{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return v, fmt.Errorf("after %v: %w", v, err)
		}
		if line = strings.TrimSpace(line); line == "done" {
			return v, nil
		}
		to, seen, _ := strings.Cut(line, " ")
		addr, err := netip.ParseAddr(to)
		if err != nil {
			return v, err
		}
		v[addr] = seen
	}
}

// guest is a program that goes on running, and visits again when asked.
type guest struct {
	cmd *lab.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// stay starts a program that goes on running; its first visit is done.
func (p program) stay(t *testing.T, function, name string) (*guest, visits) {
	t.Helper()
	cmd := p.command(context.Background(), user, function, name, strconv.Itoa(lab.EchoPort))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g := &guest{cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	v, err := readVisits(g.out)
	if err != nil {
		t.Fatal(err)
	}
	return g, v
}

func (g *guest) again(t *testing.T) visits {
	t.Helper()
	fmt.Fprintln(g.in)
	v, err := readVisits(g.out)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantBy checks that all of the server's addresses given were visited, by an uplink.
func wantBy(t *testing.T, h *harness.Host, got visits, uplink string, addrs ...netip.Addr) {
	t.Helper()
	if len(got) != len(addrs) {
		t.Errorf("visited %v, want %v", got, addrs)
	}
	for _, a := range addrs {
		up := h.Uplink(uplink)
		want := up.Addr4
		if a.Is6() {
			want = up.Addr6
		}
		if got[a] != want.String() {
			t.Errorf("%v saw %q, want %v (%s)", a, got[a], want, uplink)
		}
	}
}

// nothingBy checks that not one packet to the server took an uplink.
func nothingBy(t *testing.T, h *harness.Host, uplink string, addrs ...netip.Addr) {
	t.Helper()
	for _, a := range addrs {
		n, err := h.UplinkPackets(uplink, a)
		if err != nil || n > 0 {
			t.Errorf("%d packets to %v took %s, %v", n, a, uplink, err)
		}
	}
}

// hosts writes /etc/hosts: both addresses of each server under its name.
func hosts(t *testing.T, h *harness.Host, servers map[string]lab.Host) {
	t.Helper()
	text := "127.0.0.1 localhost\n"
	for name, s := range servers {
		text += fmt.Sprintf("%v %s\n%v %s\n", s.Addr4, name, s.Addr6, name)
	}
	if err := h.SetHosts(text); err != nil {
		t.Fatal(err)
	}
}

// silent checks that nobody asked the name server.
func silent(t *testing.T, h *harness.Host) {
	t.Helper()
	if q := h.DNS.Questions(); len(q) > 0 {
		t.Errorf("the name server was asked: %+v", q)
	}
}
