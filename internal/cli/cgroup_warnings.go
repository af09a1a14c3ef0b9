package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// cgroupWarnings tells of a condition's cgroup that does not exist now, or whose programs are not seen at all.
func cgroupWarnings(s *dataplane.System, cgroup string) []string {
	if cgroup == "" {
		return nil
	}
	dir, attached := s.AttachedTo()
	if attached == "" {
		return nil // what cannot be looked at is not warned of
	}
	root := strings.TrimSuffix(dir, strings.TrimSuffix(attached, "/"))
	return cgroupWarningsIn(root, attached, cgroup)
}

// cgroupWarningsIn is cgroupWarnings for cgroup v2 mounted at root and programs attached to a path below it.
func cgroupWarningsIn(root, attached, cgroup string) []string {
	within := strings.TrimSuffix(attached, "/") + "/"
	if meet := cgroup + "/"; !strings.HasPrefix(meet, within) && !strings.HasPrefix(within, meet) {
		return []string{fmt.Sprintf("cgroup %s is outside of %s, which domain-route is attached to (start --cgroup): the rule never holds", cgroup, attached)}
	}
	if _, err := os.Stat(filepath.Join(root, cgroup)); errors.Is(err, fs.ErrNotExist) {
		return []string{fmt.Sprintf("cgroup %s does not exist now; until it does, the rule holds for no program; those there are: systemd-cgls", cgroup)}
	}
	return nil
}
