package libc

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/internal/lab"
)

//go:embed testdata/liar.c
var liar string

// TestHostileLibrary: a user's own library may say what it likes, and hold anything in memory. It teaches its own
// process only, nothing is read without end, and the others go on.
func TestHostileLibrary(t *testing.T) {
	h := started(t)
	bank := h.MustHost()
	hosts(t, h, map[string]lab.Host{"www.bank.example": bank})
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "evil.example", "block")
	from, to := filepath.Join(h.Dir, "liar.c"), filepath.Join(h.Dir, "libc.so.6")
	if err := os.WriteFile(from, []byte(liar), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(kit.Tool(t, "gcc"), "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", to, from).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := glibc(t, h)
	p.env = []string{"LIAR=" + to, "ADDRESS=" + bank.Addr4.String()}
	g, _ := p.stay(t, "liar", "www.evil.example")
	h.Must("start")
	before := h.Counters()
	g.again(t)
	after := h.Counters()
	for counter, atLeast := range map[string]uint64{"libc_cut": 1, "libc_unreadable": 3, "libc_bad_name": 3, "libc_answers": 1} {
		if n := after[counter] - before[counter]; n < atLeast {
			t.Errorf("%s went up by %d, want %d", counter, n, atLeast)
		}
	}
	for _, l := range h.Learnt() {
		if l.Level != "process" || l.PID != uint32(g.cmd.Process.Pid) || l.Name != "www.evil.example" {
			t.Errorf("learnt %+v", l)
		}
	}
	wantBy(t, h, glibc(t, h).visit(t, "getaddrinfo", "www.bank.example"), "vpn0", bank.Addr4, bank.Addr6)
}
