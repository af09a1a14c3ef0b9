package inkernel

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// ForeignName is what programs and filters of somebody else's are called.
const ForeignName = "foreign"

// ForeignProgram is a program of somebody else's that returns a constant.
func ForeignProgram(t testing.TB, kind ebpf.ProgramType, at ebpf.AttachType, returns int32) *ebpf.Program {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: ForeignName, Type: kind, AttachType: at, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, returns), asm.Return()},
	})
	check(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// ForeignFilter puts a clsact qdisc with a filter of somebody else's on an interface.
func ForeignFilter(t testing.TB, ns *lab.Namespace, dev netlink.Link) {
	t.Helper()
	index := dev.Attrs().Index
	check(t, ns.NL.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}))
	check(t, ns.NL.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: ForeignProgram(t, ebpf.SchedCLS, ebpf.AttachNone, -1).FD(), Name: ForeignName, DirectAction: true,
	}))
}

// OnInterface lists the qdiscs, filters and (where the kernel has them) tcx programs on an interface.
func OnInterface(t testing.TB, ns *lab.Namespace, dev netlink.Link) []string {
	t.Helper()
	var all []string
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		var found *link.QueryResult
		err := ns.Do(func() (err error) {
			found, err = link.QueryPrograms(link.QueryOptions{Target: dev.Attrs().Index, Attach: at})
			return err
		})
		if err != nil {
			continue // below 6.6
		}
		for _, p := range found.Programs {
			all = append(all, at.String()+" "+programName(t, p.ID))
		}
	}
	qdiscs, err := ns.NL.QdiscList(dev)
	check(t, err)
	for _, q := range qdiscs {
		all = append(all, "qdisc "+q.Type())
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := ns.NL.FilterList(dev, parent)
		check(t, err)
		for _, f := range filters {
			all = append(all, netlink.HandleStr(parent)+" "+f.(*netlink.BpfFilter).Name)
		}
	}
	return all
}
