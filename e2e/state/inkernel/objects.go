package inkernel

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// freeing is how long the kernel may take to free what nobody uses any more.
const freeing = 10 * time.Second

// Object is a map, program or link by its number, which the kernel does not use again.
type Object struct {
	Kind string // map, program or link
	ID   uint32
}

func (o Object) exists(t testing.TB) bool {
	t.Helper()
	var c interface{ Close() error }
	var err error
	switch o.Kind {
	case "map":
		c, err = ebpf.NewMapFromID(ebpf.MapID(o.ID))
	case "program":
		c, err = ebpf.NewProgramFromID(ebpf.ProgramID(o.ID))
	default:
		c, err = link.NewFromID(link.ID(o.ID))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	check(t, err)
	c.Close()
	return true
}

// Objects lists everything that domain-route's pins keep in the kernel, inner maps and maps that only programs hold included.
func Objects(t testing.TB) []Object {
	t.Helper()
	found := map[Object]bool{}
	for _, pin := range Pins(t, Base) {
		switch filepath.Base(filepath.Dir(pin)) {
		case "maps", "text":
			m, err := ebpf.LoadPinnedMap(pin, nil)
			check(t, err)
			noteMap(t, found, m)
		case "links":
			l, err := link.LoadPinnedLink(pin, nil)
			check(t, err)
			info, err := l.Info()
			check(t, err)
			l.Close()
			found[Object{"link", uint32(info.ID)}] = true
			noteProgram(t, found, info.Program)
		}
	}
	var all []Object
	for o := range found {
		all = append(all, o)
	}
	return all
}

func noteMap(t testing.TB, found map[Object]bool, m *ebpf.Map) {
	t.Helper()
	defer m.Close()
	info, err := m.Info()
	check(t, err)
	id, _ := info.ID()
	found[Object{"map", uint32(id)}] = true
	if m.Type() != ebpf.ArrayOfMaps {
		return
	}
	for i := range m.MaxEntries() {
		var inner ebpf.MapID
		if m.Lookup(i, &inner) == nil {
			found[Object{"map", uint32(inner)}] = true
		}
	}
}

func noteProgram(t testing.TB, found map[Object]bool, id ebpf.ProgramID) {
	t.Helper()
	found[Object{"program", uint32(id)}] = true
	p, err := ebpf.NewProgramFromID(id)
	check(t, err)
	defer p.Close()
	info, err := p.Info()
	check(t, err)
	used, _ := info.MapIDs()
	for _, id := range used {
		found[Object{"map", uint32(id)}] = true
	}
}

// WantGone waits until objects are gone from the kernel, and fails if they do not go.
func WantGone(t testing.TB, all []Object) {
	t.Helper()
	deadline := time.Now().Add(freeing)
	for {
		left := slices.DeleteFunc(slices.Clone(all), func(o Object) bool { return !o.exists(t) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still in the kernel: %v", left)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
