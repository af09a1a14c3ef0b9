package doctor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

var kernelChecks = []check{
	{Kernel, []string{"kernel"}, kernelVersion},
	{Kernel, []string{"cgroup-v2"}, cgroupV2},
	{Kernel, []string{"bpffs"}, bpffs},
	{Kernel, []string{"uprobes"}, uprobes},
	{Kernel, []string{"first-datagram"}, firstDatagram},
	{Kernel, []string{"lockdown"}, lockdown},
	{Kernel, []string{"reset"}, resetSupport},
}

// split takes an error's cure from it.
func split(err error) (found, cure string) {
	var c *dataplane.CureError
	if errors.As(err, &c) {
		return strings.TrimPrefix(c.Err.Error(), dataplane.ErrRefused.Error()+": "), c.Cure
	}
	return err.Error(), ""
}

func kernelVersion(f *Facts) []Check {
	if f.Support.Refused != nil {
		found, cure := split(f.Support.Refused)
		return one("kernel", Fail, found, cure)
	}
	return one("kernel", OK, fmt.Sprintf("Linux %s has what the programs need", f.Host.Release), "")
}

func cgroupV2(f *Facts) []Check {
	switch {
	case f.Support.NoCgroup != nil && f.hidden():
		return nil
	case f.Support.NoCgroup != nil:
		found, cure := split(f.Support.NoCgroup)
		return one("cgroup-v2", Fail, found, cure)
	case f.Host.Container:
		return one("cgroup-v2", Note, fmt.Sprintf("%s is not the root of the host's cgroups, as in a container: programs outside are not steered", f.Support.Cgroup), "")
	case f.Host.Hybrid:
		return one("cgroup-v2", OK, fmt.Sprintf("is at %s, beside cgroup v1; --cgroup wants a directory below it", f.Support.Cgroup), "")
	}
	return one("cgroup-v2", OK, "is at "+f.Support.Cgroup, "")
}

func bpffs(f *Facts) []Check {
	if f.hidden() {
		return nil
	}
	if !f.Support.BPFFS {
		return one("bpffs", OK, "none is mounted at /sys/fs/bpf; start mounts one", "")
	}
	return one("bpffs", OK, "is mounted at /sys/fs/bpf", "")
}

func uprobes(f *Facts) []Check {
	if !f.Support.Uprobes {
		return one("uprobes", Warn, "the kernel has none: the observer libc cannot be, and names that are resolved without DNS on a wire are not learnt",
			"boot a kernel with CONFIG_UPROBE_EVENTS")
	}
	return one("uprobes", OK, "the observer libc can be", "")
}

func firstDatagram(f *Facts) []Check {
	if f.Support.Resends {
		return one("first-datagram", OK, "the kernel sends a socket's first datagram again by itself", "")
	}
	return one("first-datagram", Note, "before Linux 6.18 a socket's first datagram to a name with a rule fails once (EINTR)", "")
}

func lockdown(f *Facts) []Check {
	switch {
	case f.Host.Lockdown != "confidentiality" && (f.Support.ReadsKernel || f.Support.Refused != nil):
		return one("lockdown", OK, "programs may do what they need", "")
	case f.cgroupRules() > 0:
		return one("lockdown", Fail, fmt.Sprintf("programs may not read the kernel's memory, which rules with cgroup= need (%d of them)", f.cgroupRules()),
			"boot without lockdown=confidentiality, or leave those rules out")
	}
	return one("lockdown", Note, "programs may not read the kernel's memory: no rules with cgroup=", "")
}

// mostLookedAt is how many rules are looked at one by one.
const mostLookedAt = 200_000

// cgroupRules counts the rules with a condition on the cgroup.
func (f *Facts) cgroupRules() int {
	if f.Rules == nil || f.Rules.Len() > mostLookedAt {
		return 0
	}
	n := 0
	for r := range f.Rules.All() {
		if r.Condition.Cgroup != "" {
			n++
		}
	}
	return n
}

func resetSupport(f *Facts) []Check {
	missing := []string{}
	for _, m := range []struct{ module, option string }{{"tcp_diag", "CONFIG_INET_TCP_DIAG"}, {"udp_diag", "CONFIG_INET_UDP_DIAG"}} {
		known := f.Host.Modules != nil || f.Host.Options != nil
		if known && !f.Host.Modules[m.module] && f.Host.Options[m.option] != "y" {
			missing = append(missing, m.module)
		}
	}
	switch {
	case f.Host.Options["CONFIG_INET_DIAG_DESTROY"] == "n":
		return one("reset", Note, "cannot close connections: the kernel has no CONFIG_INET_DIAG_DESTROY; restart programs instead", "")
	case len(missing) > 0:
		return one("reset", Note, "cannot list connections: the kernel has no "+strings.Join(missing, " and no "), "modprobe -a tcp_diag udp_diag")
	case f.Host.Ptrace >= 3:
		return one("reset", Note, "cannot close steered UDP sockets: kernel.yama.ptrace_scope is 3, until the next boot", "")
	}
	return one("reset", OK, "can close connections", "")
}
