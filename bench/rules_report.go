package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"
)

func (b *bench) reportMatch(m *matchTimes) {
	few, many := b.rules[0], b.rules[len(b.rules)-1]
	for _, size := range b.rules[1:] {
		var lim *limit
		if size == many {
			lim = atMost(2)
		}
		b.report.add(
			paired(row{ID: fmt.Sprintf("match.%d", size), What: fmt.Sprintf("match against %d rules, to %d", size, few), Limit: lim}, m.match[size], m.match[few]),
			paired(row{ID: fmt.Sprintf("match.connect.%d", size), What: fmt.Sprintf("  as part of connect4 with %d rules", size), Limit: lim}, m.connect[size], m.connect[few]),
			paired(row{ID: fmt.Sprintf("match.answer.%d", size), What: fmt.Sprintf("  as part of a DNS answer with %d rules", size), Limit: lim}, m.answer[size], m.answer[few]),
		)
	}
	var whole, parse, set, cpu []float64
	var peak uint64
	for _, l := range m.load[many] {
		whole, parse, set = append(whole, l.Whole), append(parse, l.Parse), append(set, l.Set)
		cpu = append(cpu, l.CPU)
		peak = max(peak, l.Peak)
	}
	b.report.add(summary(row{
		ID: "rules.load", What: fmt.Sprintf("load %d rules, whole process", many), Unit: "s", Limit: atMost(3),
		Note: fmt.Sprintf("read the text %.2f s, put in force %.2f s; CPU time %.2f s; %d MB of the process at most", median(parse), median(set), median(cpu), peak/1e6),
	}, whole))
}

// reportMemory sums up what the kernel charges for the maps, and shows beside it what the machine has less.
func (b *bench) reportMemory(before uint64) error {
	maps, err := kernelMemory()
	if err != nil {
		return err
	}
	less := float64(before) - float64(meminfo("MemAvailable"))
	b.report.add(row{
		ID: "rules.memory", What: fmt.Sprintf("kernel memory, %d rules, all maps", b.rules[len(b.rules)-1]), Unit: "MB",
		Value: float64(maps.total) / 1e6, Low: float64(maps.total) / 1e6, High: float64(maps.total) / 1e6, Rounds: 1, Limit: atMost(120),
		Note: fmt.Sprintf("patterns %.0f, text %.0f, the rest %.0f; MemAvailable %.0f MB less than before start, lab and bench included",
			float64(maps.patterns)/1e6, float64(maps.text)/1e6, float64(maps.rest)/1e6, less/1e6),
	})
	return nil
}

// mapMemory is bytes charged for maps.
type mapMemory struct{ patterns, text, rest, total uint64 }

func kernelMemory() (mapMemory, error) {
	var sum mapMemory
	pins, err := filepath.Glob(filepath.Join(filepath.Dir(linkPins), "maps", "*"))
	if err != nil || len(pins) == 0 {
		return sum, errors.Join(errors.New("no maps are pinned"), err)
	}
	for _, pin := range pins {
		n, err := pinnedMemory(pin)
		if err != nil {
			return sum, err
		}
		sum.rest += n
	}
	texts, err := filepath.Glob(filepath.Join(filepath.Dir(linkPins), "text", "*"))
	if err != nil {
		return sum, err
	}
	for _, pin := range texts {
		n, err := pinnedMemory(pin)
		if err != nil {
			return sum, err
		}
		sum.text += n
	}
	if sum.patterns, err = innerMemory(); err != nil {
		return sum, err
	}
	sum.total = sum.rest + sum.text + sum.patterns
	return sum, nil
}

func pinnedMemory(pin string) (uint64, error) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", pin, err)
	}
	defer m.Close()
	return memlock(m)
}

// innerMemory is what the maps inside `rules` take.
func innerMemory() (uint64, error) {
	outer, err := ebpf.LoadPinnedMap(filepath.Join(filepath.Dir(linkPins), "maps", "rules"), nil)
	if err != nil {
		return 0, err
	}
	defer outer.Close()
	var sum uint64
	for slot := range outer.MaxEntries() {
		var inner *ebpf.Map
		if err := outer.Lookup(slot, &inner); errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		} else if err != nil {
			return 0, fmt.Errorf("open the patterns of slot %d: %w", slot, err)
		}
		n, err := memlock(inner)
		inner.Close()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func memlock(m *ebpf.Map) (uint64, error) {
	info, err := m.Info()
	if err != nil {
		return 0, fmt.Errorf("ask about %v: %w", m, err)
	}
	n, ok := info.Memlock()
	if !ok {
		return 0, fmt.Errorf("%v: the kernel does not say what it takes", m)
	}
	return n, nil
}
