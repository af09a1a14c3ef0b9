package cli

import (
	"strings"

	"github.com/domain-route/domain-route/internal/hostfile"
)

// unread lists files that look like the configuration's and are not read, since their names end with .yml. That they
// cannot be looked for is no failure.
func (c configuration) unread() []string {
	if c.path == "" {
		return nil
	}
	var all []string
	if main, ok := strings.CutSuffix(c.path, ".yaml"); ok {
		if there, err := hostfile.Exists(main + ".yml"); there && err == nil {
			all = append(all, main+".yml")
		}
	}
	more, _ := hostfile.Names(c.beside("config.d"), ".yml")
	return append(all, more...)
}

// warnUnread tells of them.
func (a *app) warnUnread(c configuration) {
	for _, path := range c.unread() {
		a.warn("warning: %s is not read; call it %s.yaml", path, strings.TrimSuffix(path, ".yml"))
	}
}
