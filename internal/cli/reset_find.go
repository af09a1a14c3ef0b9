package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/procs"
)

// finder finds interfaces, and asks for each once. A failure other than that there is none is kept: what follows from
// it must neither be said nor done.
type finder struct {
	ask   func(name string) (netdev.Device, error)
	known map[string]int
	err   error // the first
}

func newFinder() *finder { return &finder{ask: netdev.ByName, known: map[string]int{}} }

// find is a dataplane.Finder.
func (f *finder) find(name string) (int, bool) {
	index, asked := f.known[name]
	if !asked {
		d, err := f.ask(name)
		switch {
		case err == nil:
			index = d.Index
		case !errors.Is(err, netdev.ErrNoDevice):
			f.err = cmp.Or(f.err, err)
		}
		f.known[name] = index
	}
	return index, index != 0
}

// misplaced lists the sockets that connect would have elsewhere now, for all of their processes, to addresses with a
// name that the limit matches.
func misplaced(s *dataplane.System, judgeBy func(dataplane.Finder) (*dataplane.Judge, error), limit pattern.Pattern) ([]resetRow, error) {
	devices := newFinder()
	judge, err := judgeBy(devices.find)
	if err != nil {
		return nil, err
	}
	defer judge.Close()
	rows, err := misjudged(s, judge, limit)
	if err = cmp.Or(err, devices.err); err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b resetRow) int { return a.Remote.Compare(b.Remote) })
	return rows, nil
}

func misjudged(s *dataplane.System, judge *dataplane.Judge, limit pattern.Pattern) ([]resetRow, error) {
	sockets, holders, hidden, err := held(s)
	if err != nil {
		return nil, err
	}
	devices, err := netdev.List()
	if err != nil {
		return nil, err
	}
	rows := []resetRow{}
	for _, k := range sockets {
		if err := readStorage(s, &k, holders[k.Inode]); err != nil {
			return nil, err
		}
		hold := dataplane.HoldOf(k.Ifindex, k.Mark, k.Storage)
		if hold.Theirs || k.Accepted && !hold.Ours {
			continue
		}
		row := resetRow{Protocol: k.Protocol, Local: k.Local, Remote: k.Remote, Now: placeNow(k, devices),
			UID: k.UID, Processes: []resetProcess{}, socket: k}
		elsewhere, err := row.judge(judge, hold, holders[k.Inode], limit)
		if err != nil {
			return nil, err
		}
		if elsewhere && hidden && len(row.Processes) == 0 {
			return nil, errHidden // its process may know better than its user
		}
		if elsewhere {
			row.User = userName(k.UID)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// ofHome lists the sockets that a rule could be about: of the steered cgroup, that programs still have, and to
// somewhere out there.
func ofHome(s *dataplane.System) ([]netdev.Socket, error) {
	sockets, err := netdev.Sockets(s.SocketStorage())
	if err != nil {
		return nil, resetError(err)
	}
	steered, err := s.Cgroups()
	if err != nil {
		return nil, err
	}
	var kept []netdev.Socket
	for _, k := range sockets {
		if k.Inode == 0 || !steered(k.Cgroup) {
			continue
		}
		alone, err := s.LeavesAlone(k.Remote.Addr())
		if err != nil {
			return nil, err
		}
		if !alone {
			kept = append(kept, k)
		}
	}
	return kept, nil
}

// held lists them with the processes that have them open; hidden tells whether there are processes not to be looked at.
func held(s *dataplane.System) (sockets []netdev.Socket, holders map[uint64][]procs.Process, hidden bool, err error) {
	if sockets, err = ofHome(s); err != nil {
		return nil, nil, false, err
	}
	inodes := map[uint64]bool{}
	for _, k := range sockets {
		inodes[k.Inode] = true
	}
	holders, hidden, err = procs.Holders(inodes)
	return sockets, holders, hidden, err
}

// errHidden is when the kernel does not let us see who holds a socket.
var errHidden = &dataplane.CureError{Err: fmt.Errorf("%w: sockets of other processes cannot be looked at", dataplane.ErrRefused),
	Cure: "root needs CAP_SYS_PTRACE, and kernel.yama.ptrace_scope must be less than 3"}

// readStorage asks whether it was us who bound or marked a UDP socket, by a descriptor borrowed from its process: the
// list of sockets says it of TCP only. One that no process is seen to hold counts as its program's own.
func readStorage(s *dataplane.System, k *netdev.Socket, holders []procs.Process) error {
	if k.Protocol != "udp" || k.Ifindex == 0 && k.Mark == 0 {
		return nil
	}
	for _, p := range holders {
		err := p.Borrow(k.Inode, func(fd int) (err error) {
			k.Storage, err = s.StorageOf(fd)
			return err
		})
		if errors.Is(err, procs.ErrGone) {
			continue
		}
		if errors.Is(err, unix.EPERM) {
			return errHidden
		}
		return err
	}
	return nil
}

// judge fills in what connect would do now, and tells whether it is another thing for all processes. A socket that
// none is seen to have is judged by its user.
func (r *resetRow) judge(judge *dataplane.Judge, hold dataplane.Hold, holders []procs.Process, limit pattern.Pattern) (bool, error) {
	for _, p := range holders {
		r.Processes = append(r.Processes, resetProcess{p.PID, p.UID, printable(p.Comm)})
	}
	if len(holders) == 0 {
		holders = []procs.Process{{UID: r.UID}}
	}
	covered := limit.Kind == pattern.Default
	for i, p := range holders {
		v, err := judge.Verdict(p.PID, p.UID, r.Remote.Addr())
		if err != nil || !v.Differs(hold) {
			return false, err
		}
		covered = covered || slices.ContainsFunc(v.Names, limit.Matches)
		if i == 0 {
			r.Names = texts(v.Names)
			r.Rule, r.Condition, r.Level = v.Rule, v.Condition, v.Level
			r.Then = resetPlace{string(v.Outcome), v.Interface, v.Ifindex, v.Mark}
		}
	}
	return covered, nil
}

func texts(names []pattern.Name) []string {
	all := []string{}
	for _, n := range names {
		if text := n.String(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// placeNow says where a socket is.
func placeNow(k netdev.Socket, devices []netdev.Device) resetPlace {
	p := resetPlace{Verdict: string(dataplane.Untouched), Ifindex: k.Ifindex, Mark: k.Mark}
	if k.Mark != 0 {
		p.Verdict = string(dataplane.Marked)
	}
	if k.Ifindex != 0 {
		p.Verdict = string(dataplane.Steered)
	}
	for _, d := range devices {
		if d.Index == k.Ifindex {
			p.Interface = d.Name
		}
	}
	return p
}
