package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// perCPUSpare is what LRU maps get on top for each possible CPU: each keeps 128 free nodes, and small maps
// evicted while nearly empty before Linux 6.16 (commit d4adf1c9ee77).
const perCPUSpare = 256

// unpinned maps live as long as the programs that use them.
var unpinned = map[string]bool{learnMapScratches: true, libcMapLibcRooms: true, auditMapAuditRooms: true}

// objects are the loaded programs and the maps they share.
type objects struct {
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	close    []func()
	without  func(program string) bool // it is not loaded; nil: all are
}

func (o *objects) Close() {
	for _, f := range o.close {
		f()
	}
}

// load loads the programs that the observers and the audit need into the kernel, on the maps given and fresh ones for the rest. Those of
// `tc` are four, and take a tenth of a start's time.
func load(reuse map[string]*ebpf.Map, observe Observers, audit bool) (*objects, error) {
	o := &objects{maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}}
	for name, m := range reuse {
		o.maps[name] = m
	}
	o.without = func(program string) bool {
		return strings.HasPrefix(program, "tc_") && !observe.TC && !observe.TCAll && len(observe.Devices) == 0
	}
	specs := []func() (*ebpf.CollectionSpec, error){loadLearn, loadSteerForKernel, loadProbes}
	if audit {
		specs = append(specs, loadAudit)
	}
	for _, spec := range specs {
		if err := o.add(spec); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// loadSteerForKernel reads the one of two builds that can call the kernel's function for bpf/restart.h: from 7.0 on it
// takes an argument less, and what it took until then is there by another type. Without kernel types neither is called.
func loadSteerForKernel() (*ebpf.CollectionSpec, error) {
	var f *btf.Func
	if types, err := btf.LoadKernelSpec(); err == nil && types.TypeByName("bpf_task_work_schedule_signal", &f) == nil {
		return loadSteerLater()
	}
	return loadSteer()
}

func (o *objects) add(from func() (*ebpf.CollectionSpec, error)) error {
	spec, err := from()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	if err := size(spec); err != nil {
		return err
	}
	if !readsKernel() {
		withoutKernelReads(spec)
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return o.without != nil && o.without(name) })
	shared := map[string]*ebpf.Map{}
	for name, m := range o.maps {
		if spec.Maps[name] != nil {
			shared[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return loadError(err)
	}
	o.close = append(o.close, coll.Close)
	for name, m := range coll.Maps {
		if o.maps[name] == nil {
			o.maps[name] = m
		}
	}
	for name, p := range coll.Programs {
		o.programs[name] = p
	}
	return nil
}

// size raises the LRU maps by what each CPU keeps to itself.
func size(spec *ebpf.CollectionSpec) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("count the CPUs: %w", err)
	}
	for _, m := range spec.Maps {
		if m.Type == ebpf.LRUHash {
			m.MaxEntries += uint32(cpus) * perCPUSpare
		}
	}
	return nil
}

// loadError keeps a verifier's log out of the user's sight; `start --verifier-log` shows it.
func loadError(err error) error {
	var ve *ebpf.VerifierError
	if errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported) {
		return refusedf("run it as root, outside of containers", "load the programs: %w", err)
	}
	if errors.As(err, &ve) && len(ve.Log) > 0 {
		return &CureError{
			Err:  fmt.Errorf("%w: the kernel's verifier refused a program: %w", ErrRefused, quietly{ve}),
			Cure: "see why: domain-route start --verifier-log",
		}
	}
	return fmt.Errorf("load the programs: %w", err)
}

// quietly keeps a verifier's log without saying it.
type quietly struct{ *ebpf.VerifierError }

func (q quietly) Error() string { return q.Cause.Error() }
func (q quietly) Unwrap() error { return q.VerifierError }

// VerifierLog returns the whole log of the kernel's verifier, if it is what an error is about.
func VerifierLog(err error) (string, bool) {
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) {
		return "", false
	}
	return fmt.Sprintf("%+v", ve), true
}
