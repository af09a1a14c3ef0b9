package metrics

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshot makes metrics of a Snapshot. It describes none, so that the registry takes what there is.
type snapshot struct{ Snapshot }

// Describe implements prometheus.Collector.
func (snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s snapshot) Collect(to chan<- prometheus.Metric) {
	add := func(name string, value float64, labels ...string) { to <- series(name, value, labels) }
	for _, state := range s.States {
		add("state", is(state == s.State), state)
	}
	add("up", is(s.Started))
	if !s.Started {
		add("info", 1, "", "", s.CommandVersion)
		return
	}
	add("info", 1, s.Version, strconv.Itoa(s.Layout), s.CommandVersion)
	seconds := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, float64(t.UnixMilli())/1000)
		}
	}
	seconds("start_time_seconds", s.Since)
	seconds("last_leak_time_seconds", s.LastLeak)
	for name, yes := range map[string]bool{
		"history_enabled": s.History, "audit_enabled": s.Audit,
		"configuration_readable": s.Configuration.Readable, "configuration_differs": s.Configuration.Differs,
	} {
		add(name, is(yes))
	}
	for name, n := range map[string]int{
		"warnings": s.Warnings, "rules": s.Rules, "rules_hit": s.RulesHit,
		"learnt_addresses": s.Learnt.Addresses, "learnt_conflicts": s.Learnt.Conflicts,
	} {
		add(name, float64(n))
	}
	add("kernel_memory_bytes", float64(s.Memory))
	s.collectRules(add)
	s.collectState(add)
}

// collectRules adds what there is by rule, target and counter.
func (s snapshot) collectRules(add func(string, float64, ...string)) {
	for _, h := range s.Hits {
		add("rule_hits_total", float64(h.Count), h.Pattern, h.Condition, h.Target)
	}
	add("rule_hits_total", float64(s.OtherHits), OtherRules, "", "")
	for _, t := range s.Targets {
		add("target_rules", float64(t.Rules), t.Text)
		add("target_hits_total", float64(t.Hits), t.Text)
	}
	for name, n := range s.Counters {
		p := PlaceOf(name)
		if f, _ := FamilyOf(p.Metric); len(f.Labels) == 0 {
			add(p.Metric, float64(n))
		} else {
			add(p.Metric, float64(n), p.Value)
		}
	}
}

// collectState adds what is known and there is.
func (s snapshot) collectState(add func(string, float64, ...string)) {
	for level, n := range s.Learnt.Names {
		add("learnt_names", float64(n), level)
	}
	for _, m := range s.Maps {
		add("map_entries", float64(m.Entries), m.Name)
		add("map_capacity", float64(m.Capacity), m.Name)
	}
	for _, i := range s.Interfaces {
		add("interface_exists", is(i.Exists), i.Name)
		add("interface_up", is(i.Up), i.Name)
		add("interface_addresses", float64(i.Addresses4), i.Name, "ipv4")
		add("interface_addresses", float64(i.Addresses6), i.Name, "ipv6")
		add("interface_rules", float64(i.Rules), i.Name)
	}
}

func is(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// series makes one series of a family there is.
func series(name string, value float64, labels []string) prometheus.Metric {
	f, ok := FamilyOf(name)
	if !ok {
		err := errors.New("no such metric")
		return prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), fmt.Errorf("%s: %w", name, err))
	}
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\ufffd")
	}
	kind := prometheus.GaugeValue
	if f.Kind == Counter {
		kind = prometheus.CounterValue
	}
	desc := prometheus.NewDesc(Prefix+f.Name, f.Help, f.Labels, nil)
	m, err := prometheus.NewConstMetric(desc, kind, value, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}
