package warm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// systemUsers is the first user id that is a person's, as in bpf/evidence.h.
const systemUsers = 1000

// nobody is dnsmasq's user where its configuration names none.
const nobody = 65534

// The programs that cache names for others.
const (
	resolved = "systemd-resolved"
	nscd     = "nscd"
	dnsmasq  = "dnsmasq"
	unbound  = "unbound"
)

var cachePrograms = []string{resolved, nscd, dnsmasq, unbound}

// process is one that runs such a program in this network namespace.
type process struct {
	program string
	pid     int
	// refusal says why it is left alone: it may be anybody's.
	refusal string
}

func (p process) String() string { return fmt.Sprintf("%s (pid %d)", p.program, p.pid) }

// caches are the caching resolvers of this network namespace, in the order of cachePrograms.
type caches []process

// of returns those of one program that may be trusted.
func (c caches) of(program string) caches {
	return slices.DeleteFunc(slices.Clone(c), func(p process) bool { return p.program != program || p.refusal != "" })
}

// findCaches looks through all processes. Reading one link for each is what that costs. hidden is how many that call
// themselves what a cache does the kernel does not let us look at.
func findCaches() (found caches, hidden int, err error) {
	home, err := netnsOf("thread-self")
	if err != nil {
		return nil, 0, err
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		program, err := programOf(name)
		if errors.Is(err, fs.ErrPermission) && callsItselfCache(name) {
			hidden++
		}
		pid, err := strconv.Atoi(name)
		if err != nil || !slices.Contains(cachePrograms, program) {
			continue
		}
		if ns, err := netnsOf(name); err != nil || ns != home {
			continue // gone, or somebody else's namespace
		}
		found = append(found, process{program, pid, refusal(name, program)})
	}
	return found.sorted().withoutChildren(), hidden, nil
}

// sorted orders by program, then by id.
func (c caches) sorted() caches {
	slices.SortFunc(c, func(a, b process) int {
		if d := slices.Index(cachePrograms, a.program) - slices.Index(cachePrograms, b.program); d != 0 {
			return d
		}
		return a.pid - b.pid
	})
	return c
}

// withoutChildren leaves out what a cache forked: dnsmasq's helper, and its children that serve TCP.
func (c caches) withoutChildren() caches {
	return slices.DeleteFunc(slices.Clone(c), func(child process) bool {
		st, err := readStatus(strconv.Itoa(child.pid))
		return err == nil && slices.ContainsFunc(c, func(p process) bool {
			return p.program == child.program && p.pid == st.parent && p.refusal == ""
		})
	})
}

// programOf is the name of the file that a process executes: any process may call itself what it likes. It is
// empty, with an error, for kernel threads and what has ended.
func programOf(pid string) (string, error) {
	path, err := os.Readlink("/proc/" + pid + "/exe")
	if err != nil {
		return "", err
	}
	return filepath.Base(strings.TrimSuffix(path, " (deleted)")), nil // upgraded since
}

// callsItselfCache goes by what anybody may read, and any process may set.
func callsItselfCache(pid string) bool {
	comm, err := os.ReadFile("/proc/" + pid + "/comm")
	return err == nil && slices.ContainsFunc(cachePrograms, func(program string) bool {
		const longest = 15 // characters, TASK_COMM_LEN of the kernel
		return strings.TrimSuffix(string(comm), "\n") == program[:min(len(program), longest)]
	})
}

type namespaceID struct{ dev, ino uint64 }

func netnsOf(pid string) (namespaceID, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+pid+"/ns/net", &st); err != nil {
		return namespaceID{}, fmt.Errorf("find the network namespace of %s: %w", pid, err)
	}
	return namespaceID{st.Dev, st.Ino}, nil
}

// refusal says why a process must not be touched: a person's process, or one whose file anybody but root may have
// made, is what its owner says it is. Empty: it may. dnsmasq may be nobody's, too: it gets a signal that it handles, and
// nothing that it says is obeyed.
func refusal(pid, program string) string {
	st, err := readStatus(pid)
	if err != nil {
		return "it ended"
	}
	for _, uid := range st.uids {
		if uid >= systemUsers && (uid != nobody || program != dnsmasq) {
			return fmt.Sprintf("it is user %d's, not a system service's", uid)
		}
	}
	var file unix.Stat_t
	if err := unix.Stat("/proc/"+pid+"/exe", &file); err != nil {
		return "it ended"
	}
	if file.Uid != 0 || file.Mode&0o022 != 0 {
		return "others than root can write its program file"
	}
	return ""
}

// status is what /proc/PID/status says.
type status struct {
	parent  int
	uids    []uint32 // real, effective, saved, of the file system
	handled uint64   // the signals that it catches, blocks (to read them from a signalfd) or ignores: bit n-1 is signal n
}

func readStatus(pid string) (status, error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return status{}, err
	}
	return parseStatus(string(text))
}

func parseStatus(text string) (status, error) {
	var s status
	var errs []error
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "PPid":
			n, err := strconv.Atoi(value)
			s.parent, errs = n, append(errs, err)
		case "Uid":
			for _, field := range strings.Fields(value) {
				n, err := strconv.ParseUint(field, 10, 32)
				s.uids, errs = append(s.uids, uint32(n)), append(errs, err)
			}
		case "SigBlk", "SigIgn", "SigCgt":
			n, err := strconv.ParseUint(value, 16, 64)
			s.handled, errs = s.handled|n, append(errs, err)
		}
	}
	if len(s.uids) != 4 {
		errs = append(errs, errors.New("no four user ids"))
	}
	return s, errors.Join(errs...)
}

// signal sends a signal to the very process that is still what was found, if it handles the signal: one that has just
// begun, and does not yet, would die of it.
func (p process) signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return errEnded
	}
	if err != nil {
		return fmt.Errorf("hold the process: %w", err)
	}
	defer unix.Close(fd)
	// From here on the id means this process, or the signal fails.
	name := strconv.Itoa(p.pid)
	if program, err := programOf(name); err != nil || program != p.program || refusal(name, program) != "" {
		return errEnded
	}
	st, err := readStatus(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errEnded
	case err != nil:
		return err
	case st.handled&(1<<(sig-1)) == 0:
		return fmt.Errorf("it does not handle %s yet", unix.SignalName(sig))
	}
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return errEnded
	}
	return err
}

var errEnded = errors.New("it ended meanwhile")
