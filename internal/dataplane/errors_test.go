package dataplane

import "testing"

func TestNetnsOf(t *testing.T) {
	const host = "23 27 0:22 / /sys rw,relatime - sysfs sysfs rw\n41 23 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	for text, want := range map[string]string{
		"": "", host: "sysfs", // which is no namespace's name
		host + "100 97 0:45 / /sys rw,relatime - sysfs vpn rw\n":          "vpn",
		host + "100 97 0:45 / /sys rw,relatime shared:1 - sysfs vpn rw\n": "vpn",
		host + "100 97 0:45 / /sys rw,relatime - sysfs a\\040b rw\n":      "",
		host + "100 97 0:45 / /sys rw,relatime - tmpfs vpn rw\n":          "",
		host + "100 97 0:45 / /sys/x rw,relatime - sysfs vpn rw\n":        "sysfs",
	} {
		if got := netnsOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
