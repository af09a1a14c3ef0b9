package dataplane

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// maxVerified is our own bound on the instructions the verifier walks; the kernel's is 1 M. Kernels differ in
// how they prune, so that it takes a margin to load on all of them.
const maxVerified = 100_000

// TestVerifier loads each program by itself and looks at what it cost the verifier.
func TestVerifier(t *testing.T) {
	needRoot(t)
	for _, from := range []func() (*ebpf.CollectionSpec, error){loadSteerForKernel, loadLearn, loadChores, loadLibc, loadAudit} {
		spec, err := from()
		if err != nil {
			t.Fatal(err)
		}
		for name := range spec.Programs {
			t.Run(name, func(t *testing.T) { verify(t, spec.Copy(), name) })
		}
		locked := spec.Copy() // as where the kernel is locked down
		withoutKernelReads(locked)
		for name, p := range locked.Programs {
			for _, ins := range p.Instructions {
				if strings.Contains(fmt.Sprint(ins), "ProbeReadKernel") {
					t.Errorf("%s: %v", name, ins)
				}
			}
			t.Run(name+"_locked_down", func(t *testing.T) { verify(t, locked.Copy(), name) })
		}
	}
}

func verify(t *testing.T, spec *ebpf.CollectionSpec, name string) {
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats, LogSizeStart: 1 << 20},
	})
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		t.Fatalf("%v\n%s", ve.Cause, strings.Join(ve.Log[max(0, len(ve.Log)-60):], "\n"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	info, err := coll.Programs[name].Info()
	if err != nil {
		t.Fatal(err)
	}
	n, ok := info.VerifiedInstructions()
	if !ok {
		t.Fatal("the kernel does not say what it verified")
	}
	if n > maxVerified {
		t.Errorf("the verifier walked %d instructions, more than %d", n, maxVerified)
	}
	t.Logf("%d instructions walked; %s", n, strings.TrimSpace(coll.Programs[name].VerifierLog))
}

func needRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}

// Where tests run the kernel is not locked down.
func TestReadsKernel(t *testing.T) {
	needRoot(t)
	if !readsKernel() {
		t.Error("conditions on cgroups cannot be tested")
	}
}
