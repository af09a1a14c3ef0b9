package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// isBPFFS tells whether a BPF file system is mounted at the path.
func isBPFFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

// mount is the BPF file system that a start found or made.
type mount struct {
	guard *os.File // held while ours may have to go again; nil if it was there before
}

// mountBPFFS mounts a BPF file system where none is.
func mountBPFFS() (*mount, error) {
	if isBPFFS(bpffs) {
		return &mount{}, checkMount()
	}
	// Two commands that start at once must not mount one over the other.
	guard, err := lockMountPoint()
	if err != nil {
		return nil, err
	}
	if isBPFFS(bpffs) {
		guard.Close()
		return &mount{}, checkMount()
	}
	if err := unix.Mount("bpf", bpffs, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		guard.Close()
		return nil, refusedf("mount it by hand: mount -t bpf bpf "+bpffs,
			"mount a BPF file system at %s: %w", bpffs, err)
	}
	return &mount{guard}, nil
}

// undo takes a mount of ours away again, unless somebody has begun to use it.
func (m *mount) undo() {
	if m.guard == nil {
		return
	}
	entries, err := os.ReadDir(bpffs)
	if err != nil {
		return
	}
	for _, e := range entries {
		// The kernel's own iterators, where CONFIG_BPF_PRELOAD makes them.
		if !strings.HasSuffix(e.Name(), ".debug") {
			return
		}
	}
	_ = unix.Unmount(bpffs, 0)
}

func (m *mount) release() {
	if m.guard != nil {
		m.guard.Close()
	}
}

// lockMountPoint locks the directory that the mount will hide; it is there even without a mount.
func lockMountPoint() (*os.File, error) {
	dir, err := os.Open(bpffs)
	if err != nil {
		return nil, refusedf("boot a kernel with CONFIG_BPF_SYSCALL and mount sysfs", "open %s: %w", bpffs, err)
	}
	if err := flock(dir, LockTimeout); err != nil {
		return nil, refusedf("mount it by hand: mount -t bpf bpf "+bpffs, "lock %s: %w", bpffs, err)
	}
	return dir, nil
}

// checkMount refuses a mount point in which others could replace our directory.
func checkMount() error {
	var st unix.Stat_t
	if err := unix.Lstat(bpffs, &st); err != nil {
		return fmt.Errorf("look at %s: %w", bpffs, err)
	}
	if st.Uid != 0 || (st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0) {
		return refusedf("make it root's: chown root "+bpffs+" && chmod 1777 "+bpffs,
			"%s can be changed by others than root", bpffs)
	}
	return nil
}

// openBase opens the base directory, refusing whatever somebody else may have put in its place.
func openBase() (*os.File, error) {
	if !isBPFFS(bpffs) {
		return nil, ErrNotStarted
	}
	fd, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotStarted
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, refusedf("look at it and remove it: ls -ld "+base, "%s is not a directory of ours", base)
	case errors.Is(err, fs.ErrPermission):
		return nil, refusedf("run it as root, by sudo", "open %s: %w", base, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", base, err)
	}
	dir := os.NewFile(uintptr(fd), base)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		dir.Close()
		return nil, fmt.Errorf("look at %s: %w", base, err)
	}
	var on unix.Statfs_t
	if err := unix.Fstatfs(fd, &on); err != nil || on.Type != unix.BPF_FS_MAGIC || st.Uid != 0 || st.Mode&0o077 != 0 {
		dir.Close()
		return nil, refusedf("look at it and remove it: ls -ld "+base,
			"%s is not root's alone (owner %d, mode %04o)", base, st.Uid, st.Mode&0o7777)
	}
	return dir, nil
}
