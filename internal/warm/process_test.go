package warm

import (
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatus(t *testing.T) {
	const text = "Name:\tdnsmasq\nPPid:\t12\nUid:\t0\t991\t2\t3\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004202\n"
	got, err := parseStatus(text)
	want := status{parent: 12, uids: []uint32{0, 991, 2, 3}, handled: 0x180005203}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(status{})); err != nil || d != "" {
		t.Errorf("error %v, want - got +\n%s", err, d)
	}
	for _, bad := range []string{"", "Uid:\t0\t0\t0\n", "Uid:\t0\t0\t0\tx\n", text + "SigCgt:\tz\n", "PPid:\tx\n" + text} {
		if _, err := parseStatus(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestReadStatusOfSelf(t *testing.T) {
	st, err := readStatus(strconv.Itoa(os.Getpid()))
	if err != nil || st.parent != os.Getppid() || int(st.uids[1]) != os.Geteuid() {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestLeftAlone: one line for each program, however many there are.
func TestLeftAlone(t *testing.T) {
	c := caches{{dnsmasq, 7, "it is user 1000's"}, {unbound, 8, "a"}, {unbound, 9, "b"}, {unbound, 10, "c"}}
	var got []string
	for _, s := range c.leftAlone() {
		got = append(got, s.String())
	}
	want := []string{
		"flush: dnsmasq (pid 7) is left alone: it is user 1000's; if programs here ask it, restart it",
		"flush: unbound (pid 8) and 2 more are left alone: a; if programs here ask it, restart it",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want - got +\n%s", d)
	}
}

func TestConfigOption(t *testing.T) {
	tests := []struct {
		cmdline []string
		want    string
	}{
		{[]string{"unbound"}, ""},
		{[]string{"unbound", "-d", "-p"}, ""},
		{[]string{"unbound", "-d", "-p", "-c", "/etc/u.conf"}, "/etc/u.conf"},
		{[]string{"unbound", "-c/etc/u.conf"}, "/etc/u.conf"},
		{[]string{"unbound", "-dpc", "/etc/u.conf", "-v"}, "/etc/u.conf"},
		{[]string{"unbound", "-dpc/etc/u.conf"}, "/etc/u.conf"},
		{[]string{"unbound", "-c", "/a", "-c", "/b"}, "/b"},
		{[]string{"unbound", "-w", "-c", "-d"}, ""},
		{[]string{"unbound", "-wservice", "-c", "u.conf"}, "u.conf"},
		{[]string{"unbound", "-c"}, ""},
		{[]string{"unbound", "--", "-c", "/a"}, ""},
		{[]string{"unbound", ""}, ""},
		{[]string{""}, ""},
		{nil, ""},
	}
	for _, tt := range tests {
		if got := configOption(tt.cmdline); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.cmdline, got, tt.want)
		}
	}
}

// BenchmarkFindCaches is what a start pays where none of these run.
func BenchmarkFindCaches(b *testing.B) {
	for b.Loop() {
		if _, _, err := findCaches(); err != nil {
			b.Fatal(err)
		}
	}
}
