package metrics

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/domain-route/domain-route/internal/hostfile"
)

// Series is one number with its labels.
type Series struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

// Metric is one metric with all its series.
type Metric struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Help   string   `json:"help"`
	Series []Series `json:"series"`
}

// Metrics are what Write writes, for those who want no text.
func (s Snapshot) Metrics() ([]Metric, error) {
	families, err := s.registry().Gather()
	if err != nil {
		return nil, fmt.Errorf("gather the metrics: %w", err)
	}
	all := make([]Metric, 0, len(families))
	for _, f := range families {
		m := Metric{Name: f.GetName(), Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp(), Series: []Series{}}
		for _, one := range f.GetMetric() {
			row := Series{Labels: map[string]string{}, Value: one.GetGauge().GetValue() + one.GetCounter().GetValue()}
			for _, l := range one.GetLabel() {
				row.Labels[l.GetName()] = l.GetValue()
			}
			m.Series = append(m.Series, row)
		}
		all = append(all, m)
	}
	return all, nil
}

func (s Snapshot) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(snapshot{s})
	return r
}

// Write writes the Prometheus text format.
func (s Snapshot) Write(w io.Writer) error {
	families, err := s.registry().Gather()
	if err != nil {
		return fmt.Errorf("gather the metrics: %w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return fmt.Errorf("write the metric %s: %w", f.GetName(), err)
		}
	}
	return nil
}

// Extension is how the name of a file must end for node_exporter to read it.
const Extension = ".prom"

// CheckFile refuses a name that node_exporter's textfile collector does not read.
func CheckFile(path string) error {
	if strings.HasSuffix(path, Extension) {
		return nil
	}
	better := strings.TrimSuffix(path, filepath.Ext(path)) + Extension
	if filepath.Base(better) == Extension {
		better = filepath.Join(path, "domain-route"+Extension)
	}
	return fmt.Errorf("%q: node_exporter reads files *%s; write: %s", path, Extension, better)
}

// WriteFile puts a file with what Write writes in the place of the one there is: who reads it meanwhile has the former one
// or the new one. Everybody may read it.
func (s Snapshot) WriteFile(path string) error {
	return hostfile.Replace(path, 0o644, s.Write)
}
