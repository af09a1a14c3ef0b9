package hostfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// Replace writes a file in the place of the one there is, if any: whoever reads it meanwhile, and whatever is killed or
// fails, there is the former file or the new one. The directory must exist. What was killed leaves its unfinished file; a
// later call for the same name removes it. Errors are *Error, except those of write.
func Replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	sweep(dir, filepath.Base(path))
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return failure(path, cause(err))
	}
	defer os.Remove(f.Name()) // nothing, once it is renamed
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return failure(path, cause(err))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return failure(path, cause(err))
	}
	return syncDir(dir)
}

// abandoned is how old an unfinished file is that nobody is writing any more.
const abandoned = time.Hour

// sweep removes this user's abandoned unfinished files for a name, as far as it can.
func sweep(dir, name string) {
	unfinished := regexp.MustCompile(`^\.` + regexp.QuoteMeta(name) + `\.[0-9]+\.tmp$`)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if !unfinished.MatchString(entry.Name()) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		var st unix.Stat_t
		if unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && int(st.Uid) == os.Geteuid() &&
			time.Since(time.Unix(st.Mtim.Unix())) > abandoned {
			_ = os.Remove(path)
		}
	}
}

// syncDir has the names in a directory outlive a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return failure(dir, cause(err))
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return failure(dir, cause(err))
	}
	return nil
}

// cause is what the kernel said.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
