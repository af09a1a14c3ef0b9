package dataplane

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"unsafe"
)

// Hold is how a socket is bound and marked now, and by whom.
type Hold struct {
	Ifindex int
	Mark    uint32
	Ours    bool // what there is of both is our doing, and there is something
	Theirs  bool // its program bound or marked it: it is left alone
}

// SocketStorage is the file descriptor of the map that knows which sockets we bound or marked.
func (s *System) SocketStorage() int { return s.maps[learnMapSteeredSockets].FD() }

// StorageOf reads what that map has of a socket, by a descriptor of it; nil: nothing.
func (s *System) StorageOf(fd int) ([]byte, error) {
	raw, err := s.maps[learnMapSteeredSockets].LookupBytes(uint32(fd))
	if err != nil {
		return nil, fmt.Errorf("ask whether a socket was steered: %w", err)
	}
	return raw, nil
}

// HoldOf tells how a socket is held, from its interface and mark, and what the map SocketStorage has of it (nil: nothing).
func HoldOf(ifindex int, mark uint32, storage []byte) Hold {
	h := Hold{Ifindex: ifindex, Mark: mark}
	var s learnSteered
	if len(storage) >= int(unsafe.Sizeof(s)) {
		s.Ifindex = binary.NativeEndian.Uint32(storage)
		s.Mark = binary.NativeEndian.Uint32(storage[4:])
	}
	h.Theirs = ifindex != 0 && s.Ifindex != uint32(ifindex) || mark != 0 && s.Mark != mark
	h.Ours = !h.Theirs && (ifindex != 0 || mark != 0)
	return h
}

// Differs tells whether a socket that is held so would be elsewhere, or refused, if it connected now.
func (p Place) Differs(h Hold) bool {
	switch p.Outcome {
	case Steered:
		return h.Ifindex != p.Ifindex || h.Mark != 0
	case Marked:
		return h.Ifindex != 0 || h.Mark != p.Mark
	case Untouched:
		return h.Ifindex != 0 || h.Mark != 0
	}
	return true
}

// rootCgroup is the inode number of the root of all cgroups; of a cgroup namespace's root it is another.
const rootCgroup = 1

// Cgroups returns a test for whether the sockets of a cgroup are steered, as it is now: those of one that is gone are
// taken for sockets of outside.
func (s *System) Cgroups() (func(id uint64) bool, error) {
	if s.state.CgroupId == rootCgroup {
		return func(uint64) bool { return true }, nil
	}
	below := map[uint64]bool{}
	err := filepath.WalkDir(s.cgroup(), func(dir string, d fs.DirEntry, err error) error {
		if err != nil {
			if isNotExist(err) && dir != s.cgroup() {
				return nil // removed meanwhile
			}
			return err
		}
		if !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // removed meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			below[st.Ino] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look below the cgroup %s: %w", s.cgroup(), err)
	}
	return func(id uint64) bool { return below[id] }, nil
}
