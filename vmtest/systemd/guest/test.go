package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// exitLine is what the host decides by, rebootLine what it starts the machine again by.
const (
	exitLine   = "VMTEST-EXIT"
	rebootLine = "VMTEST-REBOOT"
)

// What one boot leaves for the next, on the disk.
const (
	cacheBefore = "/var/lib/guest-cache" // what tells the file of compiled rules; if this is there, it is the second boot
	atTheEnd    = "/var/lib/guest-last"
)

const (
	unit   = "domain-route.service"
	dropIn = "/etc/systemd/system/domain-route.service.d/package-linux-below-6.6.conf"
	config = "/etc/domain-route/config.yaml"
)

// byRules is what visits gives while the rules of the configuration hold, without what it gives when there are none.
const (
	byRules = "ruled.example vpn0\n203.0.113.50 vpn0\nblocked.example EHOSTUNREACH\n203.0.113.64 EHOSTUNREACH\nplain.example wan0\n"
	without = "ruled.example wan0\n203.0.113.50 wan0\nblocked.example wan0\n203.0.113.64 wan0\nplain.example wan0\n"
)

// checks are run one after the other; each begins where the one before ended.
type checks struct{ failed bool }

func test() error {
	c := &checks{}
	before, err := os.ReadFile(cacheBefore)
	again := err == nil
	c.step("the first connections", c.booted)
	if again {
		c.step("the end of the first boot", c.ended)
		c.step("the compiled rules of the first boot", func() error { return c.cached(string(before)) })
		c.step("without the drop-in", c.bare)
		c.step("systemctl stop", c.stopped)
	} else {
		c.step("systemctl reload", c.reload)
		c.step("a broken configuration", c.broken)
		c.step("systemctl restart, while /etc is read-only", c.restarted)
		c.step("whether it found what runs", c.found)
		c.step("the timer of the metrics", c.metrics)
	}
	if c.failed {
		log, err := run("journalctl", "--no-pager", "--no-hostname", "-b", "-o", "short-monotonic", "-u", "[!s]*.service")
		fmt.Println(log, err)
	}
	if again || c.failed {
		return c.end("poweroff", fmt.Sprintf("%s %d", exitLine, map[bool]int{true: 1}[c.failed]))
	}
	if err := leave(); err != nil {
		return err
	}
	return c.end("reboot", rebootLine)
}

// end says how it went, and has systemd end the system as it always does.
func (c *checks) end(verb, line string) error {
	fmt.Printf("\n%s\n", line)
	unix.Sync()
	_, err := run("systemctl", "--no-block", verb)
	return err
}

func (c *checks) step(name string, f func() error) {
	began := time.Now()
	err := f()
	took := time.Since(began).Seconds()
	if err != nil {
		c.failed = true
		fmt.Printf("--- FAIL: %s (%.1fs): %v\n", name, took, err)
		return
	}
	fmt.Printf("--- PASS: %s (%.1fs)\n", name, took)
}

// booted: the rules held before there was a network, and for the first program that connected.
func (c *checks) booted() error {
	if got := noted("before-network"); got != "true" {
		return fmt.Errorf("steering before the network came up: %q, want true", got)
	}
	if got := noted("first"); got != byRules {
		return fmt.Errorf("they were:\n%swant\n%s", got, byRules)
	}
	if err := active(); err != nil {
		return err
	}
	return holds(byRules)
}

// active: systemd says so, and the command.
func active() error {
	if out, err := run("systemctl", "is-active", unit); err != nil {
		return fmt.Errorf("the unit is %s", out)
	}
	_, err := run("domain-route", "status")
	return err
}

func holds(want string) error {
	if got := visits(); got != want {
		return fmt.Errorf("now connections go:\n%swant\n%s", got, want)
	}
	return nil
}

// found: the restart, unlike the start at boot, met programs that run; it must be able to look at them, and to signal them.
func (c *checks) found() error {
	log, err := run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", unit)
	if err != nil {
		return err
	}
	if log = log[max(0, strings.LastIndex(log, "stopped; rules forgotten")):]; !strings.Contains(log, "flush: dnsmasq (pid") || strings.Contains(log, "keeps its cache") {
		return fmt.Errorf("dnsmasq was not told to forget:\n%s", log)
	}
	if told, err := run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", "resolver.service"); err != nil || !strings.Contains(told, "told to forget") {
		return errors.Join(err, fmt.Errorf("the resolver says %q", told))
	}
	status, err := run("domain-route", "status", "-o", "json")
	if err != nil {
		return err
	}
	for _, library := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/opt/other/libc.so.6"} {
		if !attached(status, library) {
			return fmt.Errorf("%s is not observed: %s", library, status)
		}
	}
	return nil
}

// leave prepares the second boot: it is without the drop-in for old kernels, if there was one.
func leave() error {
	cache, err := cacheFile()
	if err == nil {
		err = os.WriteFile(cacheBefore, []byte(cache), 0o600)
	}
	if gone := os.Remove(dropIn); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// cacheFile tells the file of compiled rules from any that is written later.
func cacheFile() (string, error) {
	files, err := filepath.Glob("/var/cache/domain-route/rules-*")
	if err != nil || len(files) != 1 {
		return "", errors.Join(err, fmt.Errorf("compiled rules: %v", files))
	}
	var st unix.Stat_t
	if err := unix.Stat(files[0], &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, inode %d, of %d.%09d", files[0], st.Ino, st.Mtim.Sec, st.Mtim.Nsec), nil
}

// cached: had the start at boot not taken the compiled rules, it would have written them again.
func (c *checks) cached(before string) error {
	now, err := cacheFile()
	if err == nil && now != before {
		err = fmt.Errorf("they were %s", before)
	}
	fmt.Println("compiled rules:", now)
	return err
}

// ended: units that ended after ours would have, had it ended, still saw it steer.
func (c *checks) ended() error {
	if got, err := os.ReadFile(atTheEnd); err != nil || string(got) != "true" {
		return errors.Join(err, fmt.Errorf("steering when all had ended: %q, want true", got))
	}
	return nil
}

// bare: on an old kernel all but one observer works without the drop-in, and that is said; on others nothing is missing.
func (c *checks) bare() error {
	log, err := run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", unit)
	if err != nil {
		return err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return err
	}
	old := major < 6 || major == 6 && minor < 6
	warned := strings.Contains(log, "names that are resolved without DNS are not learnt") && strings.Contains(log, "want CAP_SYS_ADMIN for that")
	if warned != old {
		return fmt.Errorf("a warning of that: %v, want %v:\n%s", warned, old, log)
	}
	return nil
}

func (c *checks) reload() error {
	before, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	changed := strings.Replace(string(before), "target: vpn0", "target: direct", 1)
	if err := os.WriteFile(config, []byte(changed), 0o644); err != nil {
		return err
	}
	if _, err := run("systemctl", "reload", unit); err != nil {
		return err
	}
	err = holds(strings.ReplaceAll(byRules, "vpn0", "wan0"))
	if err := os.WriteFile(config, before, 0o644); err != nil {
		return err
	}
	if _, again := run("systemctl", "reload", unit); again != nil {
		return errors.Join(err, again)
	}
	return errors.Join(err, holds(byRules))
}

// broken: a reload that fails changes nothing.
func (c *checks) broken() error {
	before, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(config, append(before, "ruels: []\n"...), 0o644); err != nil {
		return err
	}
	_, failed := run("systemctl", "reload", unit)
	if err := os.WriteFile(config, before, 0o644); err != nil {
		return err
	}
	if failed == nil {
		return errors.New("reload says that all is well")
	}
	return errors.Join(active(), holds(byRules))
}

// restarted: nothing of what the unit does writes to /etc.
func (c *checks) restarted() error {
	if err := unix.Mount("/etc", "/etc", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	defer func() { _ = unix.Unmount("/etc", unix.MNT_DETACH) }()
	if err := unix.Mount("", "/etc", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := os.WriteFile(config+".new", nil, 0o600); !errors.Is(err, unix.EROFS) {
		return errors.Join(err, errors.New("it is not"))
	}
	for _, verb := range []string{"restart", "reload"} {
		if _, err := run("systemctl", verb, unit); err != nil {
			return err
		}
		if err := holds(byRules); err != nil {
			return fmt.Errorf("after %s: %w", verb, err)
		}
	}
	return nil
}

func (c *checks) stopped() error {
	if _, err := run("systemctl", "stop", unit); err != nil {
		return err
	}
	if _, err := run("domain-route", "status"); err == nil {
		return errors.New("it is still there")
	}
	return holds(without)
}

// run prints what it runs; an error has what that said.
func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/bin:/usr/sbin:/usr/bin", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	out, err := cmd.CombinedOutput()
	fmt.Printf("$ %s %s\n", name, strings.Join(args, " "))
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), err
}
