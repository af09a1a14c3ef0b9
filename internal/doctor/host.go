package doctor

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/hostfile"
)

// Host is what files say.
type Host struct {
	Release   string
	Options   map[string]string // of the kernel's configuration: y, m; empty: not known
	Modules   map[string]bool   // those asked for that there are; nil: not known
	Lockdown  string            // none, integrity, confidentiality; empty: not known
	Ptrace    int               // yama's ptrace_scope
	Hybrid    bool              // cgroup v1 has controllers, too
	Container bool              // the root of cgroup v2 that is seen is not the host's
	CPUs      int               // possible
	Attached  bool              // the cgroup to attach to exists
	Populated bool              // and has processes
	Procs     []Process         // of this network namespace, without ourselves
	Unit      Unit
	Resolver  Resolver
	Browsers  []Browser
}

// Process is a program that runs.
type Process struct {
	PID     int
	Program string // the name of its file
	Cgroup  string // a directory
}

// Unit says whether something starts us at boot.
type Unit struct{ Installed, Enabled bool }

// root is where paths begin; tests seed one.
type root string

func (r root) path(p string) string { return filepath.Join(string(r), p) }

// Bounds of what is read: files may be anybody's.
const (
	maxFile    = 8 << 20
	maxEntries = 256 // of a directory
)

// read reads a file of modest size; nil if it cannot be read, or is larger.
func (r root) read(path string) []byte {
	f, err := hostfile.Open(r.path(path))
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil || len(text) > maxFile {
		return nil
	}
	return text
}

func (r root) word(path string) string { return strings.TrimSpace(string(r.read(path))) }

func (r root) exists(path string) bool {
	_, err := os.Stat(r.path(path))
	return err == nil
}

// list lists a directory, the first maxEntries of it. What is none, such as a pipe, is not waited for.
func (r root) list(dir string) []string {
	f, err := os.OpenFile(r.path(dir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxEntries)
	return names
}

// glob expands a pattern of ours.
func (r root) glob(pattern string) []string {
	found, _ := filepath.Glob(r.path(pattern))
	for i := range found {
		found[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(found[i], string(r)), "/")
	}
	return found
}

// Read gathers what files below dir say, given the cgroup that is attached to and the root of cgroup v2.
func Read(dir, cgroup, top string) Host {
	r := root(dir)
	h := Host{Release: r.word("/proc/sys/kernel/osrelease"), Hybrid: r.hybrid(), CPUs: cpus(r.word("/sys/devices/system/cpu/possible"))}
	h.Options = r.options(h.Release, "CONFIG_INET_DIAG_DESTROY", "CONFIG_INET_TCP_DIAG", "CONFIG_INET_UDP_DIAG")
	h.Modules = r.modules(h.Release, "tcp_diag", "udp_diag")
	h.Lockdown = chosen(r.word("/sys/kernel/security/lockdown"))
	h.Ptrace, _ = strconv.Atoi(r.word("/proc/sys/kernel/yama/ptrace_scope"))
	h.Container = top != "" && r.exists(filepath.Join(top, "cgroup.events"))
	h.Attached = r.exists(cgroup)
	h.Populated = cgroup == top || strings.Contains(string(r.readVirtual(filepath.Join(cgroup, "cgroup.events"))), "populated 1")
	h.Procs = r.processes(top)
	h.Unit = r.unit()
	h.Resolver = r.resolver(h.Procs)
	h.Browsers = r.browsers()
	return h
}

// readVirtual reads a file of /proc or of a cgroup, whose size is told as 0.
func (r root) readVirtual(path string) []byte {
	text, err := os.ReadFile(r.path(path))
	if err != nil {
		return nil
	}
	return text
}

// chosen is the word in brackets.
func chosen(text string) string {
	_, rest, _ := strings.Cut(text, "[")
	word, _, _ := strings.Cut(rest, "]")
	return word
}

// cpus counts those of a list such as 0-3,8.
func cpus(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		n += b - a + 1
	}
	return n
}

// options looks up a few in the kernel's configuration, where that is to be had.
func (r root) options(release string, names ...string) map[string]string {
	text := r.read("/boot/config-" + release)
	if text == nil {
		if z, err := gzip.NewReader(bytes.NewReader(r.read("/proc/config.gz"))); err == nil {
			text, _ = io.ReadAll(io.LimitReader(z, maxFile))
		}
	}
	if len(text) == 0 {
		return nil
	}
	found := map[string]string{}
	for _, name := range names {
		found[name] = "n"
	}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		name, value, _ := strings.Cut(sc.Text(), "=")
		if _, asked := found[name]; asked {
			found[name] = value
		}
	}
	return found
}

// modules tells which of some are loaded, built in or can be loaded; nil where no list of them is found.
func (r root) modules(release string, names ...string) map[string]bool {
	loaded := r.read("/proc/modules")
	lists := [][]byte{r.read("/lib/modules/" + release + "/modules.builtin"), r.read("/lib/modules/" + release + "/modules.dep")}
	if loaded == nil && lists[0] == nil && lists[1] == nil {
		return nil
	}
	found := map[string]bool{}
	for _, name := range names {
		found[name] = bytes.Contains(append([]byte("\n"), loaded...), []byte("\n"+name+" "))
		for _, list := range lists {
			found[name] = found[name] || bytes.Contains(list, []byte("/"+name+".ko"))
		}
	}
	return found
}

// hybrid tells whether cgroup v1 is mounted with controllers beside cgroup v2.
func (r root) hybrid() bool {
	for line := range strings.Lines(string(r.readVirtual("/proc/self/mountinfo"))) {
		_, rest, _ := strings.Cut(line, " - ")
		if strings.HasPrefix(rest, "cgroup ") {
			return true
		}
	}
	return false
}

// unit looks for what starts us at boot: systemd's unit, or a script of sysvinit.
func (r root) unit() Unit {
	var u Unit
	for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		u.Installed = u.Installed || r.exists(dir+"/systemd/system/domain-route.service")
	}
	u.Installed = u.Installed || r.exists("/etc/init.d/domain-route")
	u.Enabled = len(r.glob("/etc/systemd/system/*.wants/domain-route.service"))+len(r.glob("/etc/rc*.d/S*domain-route")) > 0
	return u
}
