package libc

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// TestCgroupMadeAnew: a cgroup that was removed and made again is another one by the same path. start attaches to it, and
// its processes are those that count. Defence: setCgroupID in update.
func TestCgroupMadeAnew(t *testing.T) {
	h := harness.New(t, lab.Options{})
	dir := filepath.Join(h.Cgroup, "again")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.Mkdir(dir, 0o755))
	h.Must("start", "--cgroup", dir, "--flush=no")
	check(h.SetNSSwitch("files"))
	s := h.MustHost()
	hosts(t, h, map[string]lab.Host{"ruled.example": s})
	h.Must("rule", "add", "ruled.example", "vpn0")
	check(os.Remove(dir))
	check(os.Mkdir(dir, 0o755))
	h.Must("start", "--flush=no")
	p := glibc(t, h)
	if out, err := p.below(t, "again").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if c := h.Counters(); c["libc_answers"] != 1 || c["libc_outside"] != 0 {
		t.Errorf("%d calls were learnt from, %d were taken for others'", c["libc_answers"], c["libc_outside"])
	}
}
