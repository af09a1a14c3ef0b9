package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.25, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{5, 1, 2, 4, 3}, 0.25, 2},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
}

// A machine that turns twice as slow in the middle changes no ratio.
func TestPaired(t *testing.T) {
	r := paired(row{Limit: atMost(1.02)}, []float64{103, 103, 206}, []float64{100, 100, 200})
	if r.Value != 1.03 || r.Low != 1.03 || r.High != 1.03 || r.Unit != "x" || r.Rounds != 3 {
		t.Errorf("paired: %+v", r)
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		limit *limit
		value float64
		want  string
	}{
		{nil, 1, ""},
		{atMost(1.02), 1.02, "reached"},
		{atMost(1.02), 1.021, "short"},
		{atLeast(0.99), 0.99, "reached"},
		{atLeast(0.99), 0.98, "short"},
	} {
		r := row{Value: c.value, Limit: c.limit}
		r.judge()
		if got := r.verdict(); got != c.want {
			t.Errorf("%v against %+v: %q, want %q", c.value, c.limit, got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var r report
	r.add(row{ID: "a", Unit: "x", Value: 1, Limit: atMost(1)}, row{ID: "b", Unit: "ns", Value: 5})
	var b bytes.Buffer
	if err := r.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var envelope struct {
		APIVersion, Kind string
		Data             struct{ Rows []map[string]any }
	}
	if err := json.Unmarshal(b.Bytes(), &envelope); err != nil {
		t.Fatal(err)
	}
	rows := envelope.Data.Rows
	if envelope.APIVersion != "domain-route/v1" || envelope.Kind != "Bench" || len(rows) != 2 {
		t.Fatalf("envelope: %s", b.Bytes())
	}
	if rows[0]["reached"] != true {
		t.Errorf("reached: %v", rows[0]["reached"])
	}
	if _, there := rows[1]["reached"]; there {
		t.Error("a row without limit says whether it was reached")
	}
}
