package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// report is all that was measured, ready to be printed.
type report struct {
	Machine machine     `json:"machine"`
	Rows    []rowReport `json:"rows"`
}

type rowReport struct {
	Name    string         `json:"name"`
	What    string         `json:"what"`
	Lines   []lineReport   `json:"lines"`
	Targets []targetReport `json:"targets"`
	Error   string         `json:"error,omitempty"`
}

type lineReport struct {
	Who    string    `json:"who"`
	Figure string    `json:"figure"`
	Unit   unit      `json:"unit"`
	Values []float64 `json:"values"` // one a run
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

func (rep *report) add(w *row, r *results, err error) {
	out := rowReport{Name: w.name, What: w.what}
	for _, k := range r.keys {
		values := r.values[k]
		line := lineReport{
			Who: k.who, Figure: k.figure.name, Unit: k.figure.unit,
			Values: values, Median: median(values), Min: slices.Min(values), Max: slices.Max(values),
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
	if err != nil {
		out.Error = err.Error()
	}
	rep.Rows = append(rep.Rows, out)
}

func (rep *report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(rep)
}

// markdown prints the machine, the table, and what went wrong.
func (rep *report) markdown(w io.Writer) error {
	var b strings.Builder
	rep.Machine.markdown(&b)
	b.WriteString("\n| row | who | figure | median | min to max | ÷ portalocker | target | result | met |\n")
	b.WriteString("| --- | --- | --- | ---: | ---: | ---: | --- | --- | --- |\n")
	met, all := 0, 0
	for _, row := range rep.Rows {
		title := row.What
		for _, line := range row.Lines {
			format := line.Unit.format
			ratio := ""
			if line.Base != "" {
				ratio = number.format(line.Ratio) + "x"
			}
			cells := []string{title, line.Who, line.Figure, format(line.Median),
				format(line.Min) + " to " + format(line.Max), ratio, "", "", ""}
			title = ""
			for _, t := range row.Targets {
				if t.Who == line.Who && t.Figure == line.Figure && len(t.Values) > 0 {
					cells[6], cells[7], cells[8] = t.Target, t.Result, yesNo(t.Met)
				}
			}
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
		for _, t := range row.Targets {
			all++
			if t.Met {
				met++
			}
			if len(t.Values) == 0 { // the others stand in the lines above
				fmt.Fprintf(&b, "| %s | %s | %s | | | | %s | %s | %s |\n", title, t.Who, t.Figure, t.Target, t.Result, yesNo(t.Met))
				title = ""
			}
		}
	}
	fmt.Fprintf(&b, "\n%d of %d targets met.\n", met, all)
	for _, row := range rep.Rows {
		if row.Error != "" {
			fmt.Fprintf(&b, "\nNot complete: %s\n", row.Error)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "**no**"
}
