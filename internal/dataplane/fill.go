package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"
)

// Fill is how full a map is.
type Fill struct {
	Map          string
	Entries, Max int
	LRU          bool // full: the least lately used goes
}

// Fill tells how full the maps are that can be, by name. All are read for it: 20 ms where they are full.
func (s *System) Fill() ([]Fill, error) {
	var all []Fill
	for _, name := range slices.Sorted(maps.Keys(s.maps)) {
		m := s.maps[name]
		if m.Type() != ebpf.Hash && m.Type() != ebpf.LRUHash {
			continue
		}
		n, err := entries(m)
		if err != nil {
			return nil, fmt.Errorf("count what is in %s: %w", name, err)
		}
		all = append(all, Fill{name, n, int(m.MaxEntries()), m.Type() == ebpf.LRUHash})
	}
	return all, nil
}

// entries counts the elements of a hash map, whatever they are.
func entries(m *ebpf.Map) (int, error) {
	for size := 1024; ; size *= 4 {
		n, err := entriesBy(m, size)
		// A bucket holds more than a batch does.
		if !errors.Is(err, errBatchTooSmall) || size > int(m.MaxEntries()) {
			return n, err
		}
	}
}

func entriesBy(m *ebpf.Map, size int) (sum int, err error) {
	room := func(each uint32) any {
		return reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(int(each), reflect.TypeFor[byte]())), size, size).Interface()
	}
	keys, values := room(m.KeySize()), room(m.ValueSize())
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		switch {
		case isNoSpace(err) && n == 0:
			return 0, errBatchTooSmall
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return sum + n, nil
		case err != nil:
			return 0, err
		}
		sum += n
	}
}
