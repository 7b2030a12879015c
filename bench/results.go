package main

import (
	"fmt"
	"math"
	"slices"
)

// figure is one thing that a row measures of each who.
type figure struct {
	name string
	unit unit
}

// series is a figure that is measured several times, as something grows.
type series struct {
	name  string
	unit  unit
	of    string // what grows, in the plural
	steps []int
}

// at is the figure of one step.
func (s series) at(n int) figure {
	return figure{fmt.Sprintf("%s (%s: %s)", s.name, s.of, thousands(n)), s.unit}
}

// thousands prints a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// missing is the error of a measurement that needs something that is not here. It
// leaves out one who, or with an empty who all of the row.
type missing struct{ who, why string }

func (m *missing) Error() string { return m.who + ": " + m.why }

// results are the values of one row: a value for each run, figure and who.
type results struct {
	keys    []key // in the order in which they came first
	values  map[key][]float64
	leftOut []missing
	runs    int // how many there were
}

type key struct {
	who    string
	figure figure
}

func newResults() *results { return &results{values: map[key][]float64{}} }

func (r *results) record(who string, f figure, value float64) {
	k := key{who, f}
	if _, ok := r.values[k]; !ok {
		r.keys = append(r.keys, k)
	}
	r.values[k] = append(r.values[k], value)
}

// leaveOut remembers what was missing, once.
func (r *results) leaveOut(m missing) {
	if !slices.Contains(r.leftOut, m) {
		r.leftOut = append(r.leftOut, m)
	}
}

// ratios are a divided by b within each run, so that a machine that was slow in
// one run was slow for both.
func (r *results) ratios(a, b key) []float64 {
	as, bs := r.values[a], r.values[b]
	ratios := make([]float64, 0, len(as))
	for i := range min(len(as), len(bs)) {
		ratios = append(ratios, as[i]/bs[i])
	}
	return ratios
}

// target is what a row is to reach.
type target struct {
	who     string
	figure  figure
	against string // whom who is divided by; "" for the figure itself
	inverse bool   // divide the other way round: how many times as fast
	limit   float64
	bound   bound
}

type bound int

const (
	atLeast bound = iota
	atMost
	below
)

// fasterThan wants who to be at least limit times as fast as against.
func fasterThan(who string, f figure, limit float64, against string) target {
	return target{who: who, figure: f, against: against, inverse: true, limit: limit, bound: atLeast}
}

// withinTimes wants who to cost at most limit times what against costs.
func withinTimes(who string, f figure, limit float64, against string) target {
	return target{who: who, figure: f, against: against, limit: limit, bound: atMost}
}

// reaches wants the figure to be at least limit.
func reaches(who string, f figure, limit float64) target {
	return target{who: who, figure: f, limit: limit, bound: atLeast}
}

// staysUnder wants the figure to be below limit.
func staysUnder(who string, f figure, limit float64) target {
	return target{who: who, figure: f, limit: limit, bound: below}
}

// values are what is compared with the limit: one number a run.
func (t target) values(r *results) []float64 {
	own := key{t.who, t.figure}
	switch {
	case t.against == "":
		return r.values[own]
	case t.inverse:
		return r.ratios(key{t.against, t.figure}, own)
	default:
		return r.ratios(own, key{t.against, t.figure})
	}
}

// met says whether the median of all runs keeps to the limit. What was not
// measured does not.
func (t target) met(r *results) bool {
	value := median(t.values(r))
	switch {
	case math.IsNaN(value):
		return false
	case t.bound == atLeast:
		return value >= t.limit
	case t.bound == atMost:
		return value <= t.limit
	default:
		return value < t.limit
	}
}

func (t target) String() string {
	limit := fmt.Sprintf("%g", t.limit)
	switch {
	case t.inverse:
		return fmt.Sprintf("at least %s times as fast as %s", limit, t.against)
	case t.against != "":
		return fmt.Sprintf("at most %s times %s", limit, t.against)
	case t.bound == atLeast:
		return "at least " + limit
	case t.bound == atMost:
		return "at most " + t.figure.unit.format(t.limit)
	default:
		return "under " + t.figure.unit.format(t.limit)
	}
}

// result is how the values of the target are printed.
func (t target) result(r *results) string {
	values := t.values(r)
	if len(values) == 0 {
		return "not measured"
	}
	format := t.figure.unit.format
	if t.against != "" {
		format = number.format
	}
	if len(values) == 1 {
		return format(values[0])
	}
	return fmt.Sprintf("%s (%s to %s)", format(median(values)), format(slices.Min(values)), format(slices.Max(values)))
}
