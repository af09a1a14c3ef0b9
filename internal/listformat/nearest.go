package listformat

import (
	"cmp"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/spelling"
)

// nearest keeps the few names that are most like one that was not found.
type nearest struct {
	to    string
	names []near // the nearest first
}

type near struct {
	name     string
	distance int
}

// maxNear is how many names are kept, and maxNearName the length of those looked at.
const (
	maxNear     = 3
	maxNearName = 64
)

// add looks at a name. One that has the wanted one in it, or is in it, is near enough, too.
func (n *nearest) add(name string) {
	if name == "" || len(name) > maxNearName || len(n.to) > maxNearName || !madeOf([]byte(name), "!-_.@") {
		return
	}
	d := spelling.Distance(n.to, name)
	if d > max(2, len(n.to)/3) {
		if !strings.Contains(name, n.to) && !strings.Contains(n.to, name) {
			return
		}
		d = max(2, len(n.to)/3) + 1
	}
	if slices.ContainsFunc(n.names, func(o near) bool { return o.name == name }) {
		return
	}
	n.names = append(n.names, near{name, d})
	slices.SortStableFunc(n.names, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	n.names = n.names[:min(len(n.names), maxNear)]
}

// hint returns what to add to the error, or nothing.
func (n *nearest) hint() string {
	if len(n.names) == 0 {
		return ""
	}
	names := make([]string, len(n.names))
	for i := range names {
		names[i] = n.names[i].name
	}
	return ": is it " + strings.Join(names, " or ") + "?"
}
