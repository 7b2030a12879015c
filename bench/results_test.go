package main

import (
	"math"
	"testing"
)

var cost = figure{"cost", duration}

func TestTargets(t *testing.T) {
	r := newResults()
	for _, v := range []struct{ ours, theirs float64 }{{10, 15}, {100, 120}, {10, 12}} {
		r.record("ours", cost, v.ours)
		r.record("theirs", cost, v.theirs)
	}
	// The ratios of the three runs are 1.5, 1.2 and 1.2.
	for _, c := range []struct {
		target target
		met    bool
	}{
		{fasterThan("ours", cost, 1.2, "theirs"), true},
		{fasterThan("ours", cost, 1.3, "theirs"), false},
		{fasterThan("theirs", cost, 1, "ours"), false},
		{withinTimes("theirs", cost, 1.2, "ours"), true},
		{withinTimes("theirs", cost, 1.1, "ours"), false},
		{reaches("ours", cost, 10), true},
		{reaches("ours", cost, 11), false},
		{staysUnder("ours", cost, 10), false},
		{staysUnder("ours", cost, 11), true},
		{reaches("nobody", cost, 0), false},
		{fasterThan("ours", cost, 0, "nobody"), false},
	} {
		if got := c.target.met(r); got != c.met {
			t.Errorf("%s: %v: met = %v, want %v", c.target.who, c.target, got, c.met)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		unit  unit
		value float64
		want  string
	}{
		{duration, 950, "950 ns"},
		{duration, 3712, "3.71 µs"},
		{duration, 56_240, "56.2 µs"},
		{duration, 5_000_000, "5 ms"},
		{duration, 1.25e9, "1.25 s"},
		{size, 6144, "6 KiB"},
		{size, 5500, "5.37 KiB"},
		{count, 32, "32"},
		{count, 2174.6, "2175"},
		{number, 0.9512, "0.951"},
		{number, 12.34, "12.3"},
		{number, math.NaN(), "-"},
	} {
		if got := c.unit.format(c.value); got != c.want {
			t.Errorf("%s %v = %q, want %q", c.unit, c.value, got, c.want)
		}
	}
}
