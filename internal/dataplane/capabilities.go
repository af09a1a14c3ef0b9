package dataplane

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// needed are the capabilities without which the kernel refuses the programs; CAP_SYS_ADMIN stands for each
// (capabilities(7)).
var needed = []struct {
	bit  uint
	name string
}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_PERFMON, "CAP_PERFMON"}}

// checkCapabilities names the capability that is missing: what the kernel and the verifier say then depends on what
// they refuse first.
func checkCapabilities() error {
	var have [2]unix.CapUserData // for the bits up to 31, and those above
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &have[0]); err != nil {
		return fmt.Errorf("ask for our capabilities: %w", err)
	}
	holds := func(bit uint) bool { return have[bit/32].Effective&(1<<(bit%32)) != 0 }
	for _, c := range needed {
		if !holds(c.bit) && !holds(unix.CAP_SYS_ADMIN) {
			return refusedf("run it as root, outside of containers; a systemd unit names it in CapabilityBoundingSet=",
				"this process lacks %s", c.name)
		}
	}
	return nil
}
