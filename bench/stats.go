package main

import (
	"fmt"
	"slices"
)

// quantile is the q-th quantile, 0..1, between the two nearest values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// summary fills a row with the median of the rounds' values and their quartiles.
func summary(r row, values []float64) row {
	r.Value, r.Low, r.High = median(values), quantile(values, 0.25), quantile(values, 0.75)
	r.Rounds = len(values)
	return r
}

// paired makes a row of the ratios of one round's figure to the same round's base: what disturbs a round disturbs both.
func paired(r row, values, bases []float64) row {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / bases[i]
	}
	r.Unit = "x"
	if r.Note == "" {
		r.Note = fmt.Sprintf("%.0f against %.0f ns", median(values), median(bases))
	}
	return summary(r, ratios)
}
