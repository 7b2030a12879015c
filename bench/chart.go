package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one picture, of figures of one row.
type chart struct {
	name  string // of the file
	title string
	row   string
	form  form

	figures []figure // of bars: one bar each; of spans: the marks, from the least on
	marks   []string // what the figures are called in the legend; none for one figure
	growth  series   // of lines
	even    bool     // the values are on a scale from 0 to 1
	note    string   // how to read it
}

type form int

const (
	bars  form = iota // a bar for each who, on a scale from 0
	spans             // a line of marks for each who, on a logarithmic scale
	lines             // a line for each who, as something grows
)

const (
	lessIsBetter = "less is better"
	moreIsBetter = "more is better"
	whiskers     = "thin lines: smallest and largest run"
)

// charts are all that are drawn.
func charts() []chart {
	return []chart{
		{name: "uncontended", title: "Acquire and release a free lock", row: "uncontended", form: bars,
			figures: []figure{pairCost}, note: lessIsBetter + "; " + whiskers},
		{name: "command", title: "A process for each acquisition: flock FILE true", row: "command", form: bars,
			figures: []figure{commandFree, commandWaited}, marks: []string{"nobody holds the lock", "from a release, if it waited"},
			note: lessIsBetter + "; " + whiskers},
		{name: "handover", title: "From a release to the moment when a waiting process holds the lock", row: "handover", form: spans,
			figures: []figure{handoverMedian, handoverP99}, marks: []string{"median", "99th percentile"},
			note: lessIsBetter + "; logarithmic scale"},
		{name: "greedy", title: "Processes that take the lock again at once: fewest divided by most turns", row: "greedy", form: bars, even: true,
			figures: []figure{spreadOf(3), spreadOf(8)}, marks: []string{"3 processes", "8 processes"},
			note: "1 is even; 0: one had no turn at all; " + whiskers},
		{name: "crowd-cpu", title: "CPU time of all processes for a hand-over", row: "crowd", form: lines,
			growth: crowdCPU, note: lessIsBetter + "; the lock is held for 1 ms"},
		{name: "crowd-rate", title: "Turns a second", row: "crowd", form: lines,
			growth: crowdRate, note: moreIsBetter + "; the lock is held for 1 ms"},
		{name: "crowd-fairness", title: "How even the turns are: Jain's index", row: "crowd", form: lines, even: true,
			growth: crowdJain, note: "1 is perfectly even"},
		{name: "idle", title: "CPU time of a wait of 60 s in which nothing happens", row: "idle", form: bars,
			figures: []figure{idleCPU}, note: lessIsBetter + "; thin lines: smallest and largest of 3 processes"},
		{name: "slots", title: "Take and release the last free slot of a semaphore", row: "slots", form: lines,
			growth: slotAcquire, note: lessIsBetter},
		{name: "atomic", title: "Write a file of 4 KiB in one step", row: "atomic", form: bars,
			figures: []figure{createCost, replaceCost}, marks: []string{"a new file", "replace a file"},
			note: lessIsBetter + "; " + whiskers},
		{name: "redis-uncontended", title: "Redis: acquire and release a free lock", row: "redis-uncontended", form: bars,
			figures: []figure{redisPair}, note: lessIsBetter + "; " + whiskers},
		{name: "redis-contended", title: "Redis: 8 clients that take the lock again at once", row: "redis-contended", form: spans,
			figures: []figure{redisGapMedian, redisGapP99, redisGapMax, redisLongest},
			marks:   []string{"nobody has the lock: median", "the same: 99th percentile", "the same: longest", "longest wait of a client"},
			note:    lessIsBetter + "; logarithmic scale"},
		{name: "redis-waiters-cpu", title: "Redis: CPU time of the server for a turn", row: "redis-waiters", form: lines,
			growth: redisWaitCPU, note: lessIsBetter + "; the lock is held for no time"},
		{name: "redis-waiters-time", title: "Redis: time for a turn", row: "redis-waiters", form: lines,
			growth: redisWaitTime, note: lessIsBetter + "; the lock is held for no time"},
		{name: "redis-waiters-kept", title: "Redis: share of turns that stayed with the same waiter", row: "redis-waiters", form: lines, even: true,
			growth: redisWaitKept, note: lessIsBetter + ": such a turn is no hand-over"},
		{name: "redis-killed", title: "Redis: from SIGKILL of the holder until the next waiter holds", row: "redis-killed", form: bars,
			figures: []figure{redisRecovery}, note: lessIsBetter + fmt.Sprintf("; thin lines: smallest and largest of %d holders", redisKills)},
	}
}

// drawable says whether anything of it was measured.
func (c chart) drawable(rep *report) bool {
	row := rep.row(c.row)
	return row != nil && len(c.whos(row)) > 0
}

// whos are those that the chart shows.
func (c chart) whos(row *rowReport) []string {
	return slices.DeleteFunc(row.whos(), func(who string) bool {
		return c.at(row, who) == nil && len(c.grown(row, who)) == 0
	})
}

// at are who's lines of the chart's figures; nil if one was not measured and the
// chart cannot do without.
func (c chart) at(row *rowReport, who string) []*lineReport {
	var found []*lineReport
	for _, f := range c.figures {
		line := row.line(who, f)
		if line != nil {
			found = append(found, line)
		} else if c.form == spans {
			return nil
		}
	}
	return found
}

// grown are who's lines of the chart's series.
func (c chart) grown(row *rowReport, who string) []*lineReport {
	var found []*lineReport
	for _, n := range c.growth.steps {
		if line := row.line(who, c.growth.at(n)); line != nil {
			found = append(found, line)
		}
	}
	return found
}

// svg draws the chart. Only what drawable says yes to can be drawn.
func (c chart) svg(rep *report) ([]byte, error) {
	row := rep.row(c.row)
	whos := c.whos(row)
	slices.SortStableFunc(whos, func(a, b string) int { return rank(a) - rank(b) })
	p := newPlot(c.title)
	var height vg.Length
	switch c.form {
	case bars:
		height = c.addBars(p, row, whos)
	case spans:
		height = c.addSpans(p, row, whos)
	case lines:
		h, err := c.addLines(p, row, whos)
		if err != nil {
			return nil, err
		}
		height = h
	}
	footer := wrap(c.footer(rep.Machine, row, whos), chartWidth-2*margin)
	below := vg.Length(len(footer))*footerLine + margin
	canvas := vgsvg.New(chartWidth, height+below)
	dc := draw.New(canvas)
	p.Draw(draw.Crop(dc, margin, -margin, below+margin, -margin))
	for i, line := range footer {
		y := below - vg.Length(i+1)*footerLine + margin/2
		dc.FillText(textStyle(footerSize), vg.Point{X: margin, Y: y}, line)
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.name, err)
	}
	// Where there is no Liberation Sans, its metrics are also Arial's and Helvetica's.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// footer says how to read the chart, and where, with what and how often was measured.
func (c chart) footer(m machine, row *rowReport, whos []string) string {
	what := fmt.Sprintf("Median of %d runs", row.Runs)
	if row.Runs == 1 {
		what = "One run"
		if n := len(row.Lines[0].Values); n > 1 {
			what = fmt.Sprintf("Median of %d values of one run", n)
		}
	}
	parts := []string{
		strings.ToUpper(c.note[:1]) + c.note[1:] + ". " + what + ".",
		fmt.Sprintf("%s, %d CPUs, %s, %s, %s, load average %s before it.", m.CPU, m.CPUs, m.Kernel, m.Filesystem, m.Go, strings.Fields(row.Load + " unknown")[0]),
		"portalocker: " + row.Version + ".",
	}
	if peers := m.peersOf(whos); len(peers) > 0 {
		parts = append(parts, "Beside: "+strings.Join(peers, ", ")+".")
	}
	return strings.Join(parts, " ")
}

// rank puts this module's own in front; the others stay in their order.
func rank(who string) int {
	if isOurs(who) {
		return 0
	}
	return 1
}

func isOurs(who string) bool { return strings.HasPrefix(who, ours) }
