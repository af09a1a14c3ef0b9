package dataplane

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// readsKernel tells whether programs may read the kernel's memory, as the name of a cgroup has to be. Under
// lockdown=confidentiality they may not.
func readsKernel() bool {
	return !errors.Is(features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnProbeReadKernel), ebpf.ErrNotSupported)
}

// withoutKernelReads makes programs loadable there: what they would read cannot be read, and no condition on a cgroup holds.
func withoutKernelReads(spec *ebpf.CollectionSpec) {
	for _, p := range spec.Programs {
		for i, ins := range p.Instructions {
			if f := asm.BuiltinFunc(ins.Constant); ins.IsBuiltinCall() && (f == asm.FnProbeReadKernel || f == asm.FnProbeReadKernelStr) {
				p.Instructions[i] = asm.Mov.Imm(asm.R0, -1).WithMetadata(ins.Metadata)
			}
		}
	}
}

// checkConditions refuses what would never hold.
func checkConditions(choices []ruleset.Choice) error {
	for _, c := range choices {
		if c.Condition.Cgroup != "" && !readsKernel() {
			return refusedf("leave out the rules with cgroup=, or boot without lockdown=confidentiality",
				"this kernel does not let programs read its memory, so that conditions on cgroups cannot be tested")
		}
	}
	return nil
}
