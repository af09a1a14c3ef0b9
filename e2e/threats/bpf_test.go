package threats

import (
	"os"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/domain-route/domain-route/e2e/harness"
)

type unixStat = syscall.Stat_t

// pinProgram pins a program that does nothing: what an ordinary file is elsewhere.
func pinProgram(t *testing.T, path string) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	check(t, err)
	defer p.Close()
	check(t, p.Pin(path))
}

// openMap opens a pinned map, to read only.
func openMap(path string) error {
	m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return m.Close()
}

// expectNothingAttached fails if a program is attached to the lab's cgroup although the command refused.
func expectNothingAttached(t *testing.T, h *harness.Host) {
	t.Helper()
	dir, err := os.Open(h.Cgroup)
	check(t, err)
	defer dir.Close()
	for _, attach := range []ebpf.AttachType{
		ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInet4Connect,
		ebpf.AttachCGroupInet6Connect, ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg,
	} {
		got, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: attach})
		check(t, err)
		if len(got.Programs) > 0 {
			t.Errorf("%v: %d programs are attached", attach, len(got.Programs))
		}
	}
}
