package main

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, 1, 1000}, 1},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestMedianLeavesItsArgumentAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("median sorted its argument: %v", values)
	}
}

func TestQuantile(t *testing.T) {
	var hundred []float64
	for i := 100; i > 0; i-- {
		hundred = append(hundred, float64(i))
	}
	for _, c := range []struct {
		values  []float64
		q, want float64
	}{
		{hundred, 0.99, 99},
		{hundred, 0.5, 50},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{[]float64{3, 8}, 0.99, 8},
		{[]float64{3}, 0.99, 3},
	} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %d values = %v, want %v", c.q, len(c.values), got, c.want)
		}
	}
	if got := quantile(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("quantile of nothing = %v, want NaN", got)
	}
}

func TestFairness(t *testing.T) {
	for _, c := range []struct {
		turns        []uint64
		jain, spread float64
	}{
		{[]uint64{5, 5, 5, 5}, 1, 1},
		{[]uint64{12, 0, 0}, 1.0 / 3, 0},
		{[]uint64{1, 3}, 0.8, 1.0 / 3}, // (1+3)^2 / (2 * (1+9))
	} {
		if got := jain(c.turns); math.Abs(got-c.jain) > 1e-12 {
			t.Errorf("jain(%v) = %v, want %v", c.turns, got, c.jain)
		}
		if got := spread(c.turns); math.Abs(got-c.spread) > 1e-12 {
			t.Errorf("spread(%v) = %v, want %v", c.turns, got, c.spread)
		}
	}
	if got := jain([]uint64{0, 0}); !math.IsNaN(got) {
		t.Errorf("jain of no turns = %v, want NaN", got)
	}
	if got := spread([]uint64{0, 0}); !math.IsNaN(got) {
		t.Errorf("spread of no turns = %v, want NaN", got)
	}
}
