package dataplane

import "testing"

func TestCgroup2Mount(t *testing.T) {
	for _, c := range []struct {
		line, root, dir string
		ok              bool
	}{
		{"36 25 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate", "/", "/sys/fs/cgroup", true},
		{"42 32 0:30 / /sys/fs/cgroup/unified rw shared:9 master:1 - cgroup2 cgroup rw", "/", "/sys/fs/cgroup/unified", true},
		{`50 32 0:30 /a.slice /mnt/with\040space\134 rw - cgroup2 none rw`, "/a.slice", `/mnt/with space\`, true},
		{"36 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", "", "", false},
		{"36 25 0:30 / /cgroup2 rw - ext4 /dev/cgroup2 rw", "", "", false},
		{"", "", "", false},
		{" - cgroup2 x", "", "", false},
	} {
		root, dir, ok := cgroup2Mount(c.line)
		if root != c.root || dir != c.dir || ok != c.ok {
			t.Errorf("%q: %q %q %v; want %q %q %v", c.line, root, dir, ok, c.root, c.dir, c.ok)
		}
	}
}

func TestOldKernels(t *testing.T) {
	for release, old := range map[string]bool{
		"6.1.0-56-cloud-amd64": false, "6.18.44": false, "7.3.4+deb13": false, "10.0": false, "6.1-rc1": false,
		"6.0.19": true, "5.15.0-91-generic": true, "2.6.32": true,
	} {
		got, err := olderThan(release, oldest)
		if err != nil || got != old {
			t.Errorf("%s: too old %v, %v; want %v", release, got, err, old)
		}
	}
	if _, err := olderThan("linux", oldest); err == nil {
		t.Error("a release without numbers was taken")
	}
}

func TestCgroupBelow(t *testing.T) {
	for _, c := range []struct{ top, path, want string }{
		{"/", "/system.slice/a.service", "/system.slice/a.service"},
		{"/", "/", "/"},
		{"/", "/../other", ""},
		{"/", "/..", ""},
		{"/a.slice", "/a.slice/b", "/b"},
		{"/a.slice", "/a.slice", "/"},
		{"/a.slice", "/a.slice2/b", ""},
		{"/a.slice", "/b", ""},
		{"/a.slice", "/", ""},
		{"/..", "/../b", "/b"},
		{"", "/b", ""},
	} {
		if got := cgroupBelow(c.top, c.path); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.path, c.top, got, c.want)
		}
	}
}
