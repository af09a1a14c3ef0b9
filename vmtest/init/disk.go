package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A guest with a disk has this file, which holds the path of the program that is process 1 there, and no tests.
const diskFile = "/vmtest/disk"

const (
	disk     = "/dev/vda"
	diskRoot = "/root"
	diskTime = 20 * time.Second // for the kernel to find it
)

// bootDisk makes the disk the root directory and becomes the program. It returns only what went wrong.
func bootDisk(program string) error {
	for _, m := range mounts[:3] {
		if err := mountOne(m); err != nil {
			return err
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := mountDisk(); err != nil {
		return err
	}
	if err := ownAll(diskRoot); err != nil {
		return fmt.Errorf("making all files root's: %w", err)
	}
	for _, m := range mounts[:3] {
		if err := unix.Mount(m.at, diskRoot+m.at, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", m.at, err)
		}
	}
	if err := os.Chdir(diskRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root directory: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root directory: %w", err)
	}
	return fmt.Errorf("running %s: %w", program, unix.Exec(program, []string{program}, []string{"TERM=dumb"}))
}

// mountDisk waits for the disk: its driver finds it a moment after it was loaded.
func mountDisk() error {
	if err := os.MkdirAll(diskRoot, 0o755); err != nil {
		return err
	}
	for end := time.Now().Add(diskTime); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Mount(disk, diskRoot, "ext4", 0, "")
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.ENOENT) || time.Now().After(end):
			return fmt.Errorf("mounting %s: %w", disk, err)
		}
	}
}

// ownAll makes every file root's, once: whoever built the disk need not have been root.
func ownAll(dir string) error {
	done := filepath.Join(dir, ".root-owns-all")
	if _, err := os.Lstat(done); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, 0, 0)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}
