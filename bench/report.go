package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// report is all that was measured, ready to be printed and drawn.
type report struct {
	Machine machine     `json:"machine"`
	Rows    []rowReport `json:"rows"`
}

type rowReport struct {
	Name    string         `json:"name"`
	What    string         `json:"what"`
	Runs    int            `json:"runs"`
	Version string         `json:"version"` // of portalocker
	Load    string         `json:"load"`    // the load averages of 1, 5 and 15 minutes at the start
	Lines   []lineReport   `json:"lines"`
	Targets []targetReport `json:"targets,omitempty"`
	LeftOut []leftOut      `json:"left_out,omitempty"`
	Error   string         `json:"error,omitempty"`
}

type lineReport struct {
	Who    string    `json:"who"`
	Figure string    `json:"figure"`
	Series string    `json:"series,omitempty"` // the figure without its step
	Of     string    `json:"of,omitempty"`     // what grows
	Step   int       `json:"step,omitempty"`   // to what it has grown
	Unit   unit      `json:"unit"`
	Values []float64 `json:"values"` // one a run, or more
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Base   string    `json:"base,omitempty"`  // whom Ratio is against
	Ratio  float64   `json:"ratio,omitempty"` // the median of the runs' ratios
}

type targetReport struct {
	Who    string    `json:"who"`
	Figure string    `json:"figure"`
	Target string    `json:"target"`
	Values []float64 `json:"values"`
	Result string    `json:"result"`
	Met    bool      `json:"met"`
}

type leftOut struct {
	Who string `json:"who"` // "" for all of the row
	Why string `json:"why"`
}

// readReport reads what json has written.
func readReport(path string) (*report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rep := &report{}
	if err := json.Unmarshal(text, rep); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rep, nil
}

// add takes in a row that was measured. It replaces an older one of its name.
func (rep *report) add(w *row, r *results, version, load string, err error) {
	out := rowReport{Name: w.name, What: w.what, Runs: r.runs, Version: version, Load: load}
	for _, k := range r.keys {
		values := r.values[k]
		line := lineReport{
			Who: k.who, Figure: k.figure.name, Unit: k.figure.unit,
			Values: values, Median: median(values), Min: slices.Min(values), Max: slices.Max(values),
		}
		for _, s := range w.series {
			for _, n := range s.steps {
				if s.at(n) == k.figure {
					line.Series, line.Of, line.Step = s.name, s.of, n
				}
			}
		}
		ratio := median(r.ratios(k, key{w.base, k.figure}))
		if k.who != w.base && !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
			line.Base, line.Ratio = w.base, ratio
		}
		out.Lines = append(out.Lines, line)
	}
	for _, t := range w.targets {
		out.Targets = append(out.Targets, targetReport{
			Who: t.who, Figure: t.figure.name, Target: t.String(),
			Values: t.values(r), Result: t.result(r), Met: t.met(r),
		})
	}
	for _, m := range r.leftOut {
		out.LeftOut = append(out.LeftOut, leftOut{m.who, m.why})
	}
	if err != nil {
		out.Error = err.Error()
	}
	rep.put(out)
}

// put keeps the rows in the order of rows.
func (rep *report) put(out rowReport) {
	rep.Rows = slices.DeleteFunc(rep.Rows, func(r rowReport) bool { return r.Name == out.Name })
	rep.Rows = append(rep.Rows, out)
	order := rowNames(rows())
	slices.SortStableFunc(rep.Rows, func(a, b rowReport) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
}

// row finds a row; nil if it was not measured.
func (rep *report) row(name string) *rowReport {
	for i := range rep.Rows {
		if rep.Rows[i].Name == name {
			return &rep.Rows[i]
		}
	}
	return nil
}

// line finds a line; nil if it was not measured.
func (row *rowReport) line(who string, f figure) *lineReport {
	for i, line := range row.Lines {
		if line.Who == who && line.Figure == f.name {
			return &row.Lines[i]
		}
	}
	return nil
}

// whos are those that the row has figures of, in the order in which they are in its
// first run.
func (row *rowReport) whos() []string {
	var whos []string
	for _, line := range row.Lines {
		if !slices.Contains(whos, line.Who) {
			whos = append(whos, line.Who)
		}
	}
	return whos
}

func (rep *report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(rep)
}
