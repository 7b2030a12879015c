package main

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// addBars draws horizontal bars from 0, a group for each who, and gives the height
// of the plot.
func (c chart) addBars(p *plot.Plot, row *rowReport, whos []string) vg.Length {
	b := &barPlot{chart: c, row: row, whos: whos}
	for _, who := range whos {
		for _, line := range c.at(row, who) {
			b.unit = line.Unit
			b.most = max(b.most, line.Max)
		}
	}
	if c.even {
		b.most = 1
	}
	if b.most == 0 {
		b.most = 1 // all values are 0
	}
	p.Add(grid(false), b)
	p.X.Min, p.X.Max = 0, b.most*1.16 // room for the last label
	p.X.Tick.Marker = unitTicks{b.unit}
	nameRows(p, whos)
	b.colours = colours
	if len(c.figures) > 1 {
		for i, name := range c.marks {
			p.Legend.Add(name, swatch{b.colours[i]})
		}
	}
	return framing(p, len(c.marks)) + vg.Length(len(whos)*len(c.figures))*(barHeight+3) + vg.Length(len(whos))*6
}

// nameRows makes the vertical axis one of names, from above.
func nameRows(p *plot.Plot, names []string) {
	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	p.NominalY(reversed...)
	p.Y.Min, p.Y.Max = -0.6, float64(len(names))-0.4
	p.Y.Tick.Length = 0
	p.Y.LineStyle.Width = 0
	var longest vg.Length
	for _, name := range names {
		longest = max(longest, p.Y.Tick.Label.Width(name))
	}
	p.Y.Padding = longest*(fontSlack-1) + 4
}

// framing is the height of title, axis and legend; the legend has a place of its own
// above the rows.
func framing(p *plot.Plot, entries int) vg.Length {
	p.Legend.Top = true
	above := vg.Length(entries) * 16
	p.Legend.YOffs = above + 2
	p.Title.Padding += above
	return 75 + above
}

// barPlot draws the bars, the smallest and largest value over each, and beside it the
// median in figures.
type barPlot struct {
	chart
	row     *rowReport
	whos    []string
	unit    unit
	most    float64
	colours []color.RGBA
}

func (b *barPlot) Plot(dc draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&dc)
	for i, who := range b.whos {
		middle := y(float64(len(b.whos) - 1 - i))
		all := b.at(b.row, who)
		for _, line := range all {
			slot := slices.IndexFunc(b.figures, func(f figure) bool { return f.name == line.Figure })
			colour := b.colours[slot]
			if len(b.figures) == 1 && !isOurs(who) {
				colour = weakColour
			}
			at := middle + (vg.Length(len(b.figures)-1)/2-vg.Length(slot))*(barHeight+2)
			if len(all) == 1 && len(b.figures) > 1 {
				at = middle // it has only this one
			}
			dc.FillPolygon(colour, []vg.Point{
				{X: x(0), Y: at - barHeight/2}, {X: x(line.Median), Y: at - barHeight/2},
				{X: x(line.Median), Y: at + barHeight/2}, {X: x(0), Y: at + barHeight/2},
			})
			dc.StrokeLine2(lineStyle(color.White, 1), x(line.Min), at, x(line.Median), at)
			dc.StrokeLine2(lineStyle(textColour, 1), x(line.Median), at, x(line.Max), at)
			label := textStyle(labelSize)
			label.YAlign = draw.YCenter
			dc.FillText(label, vg.Point{X: x(max(line.Median, line.Max)) + 5, Y: at}, line.Unit.format(line.Median))
		}
	}
}

// addSpans draws for each who a line of marks on a logarithmic scale, and gives the
// height of the plot.
func (c chart) addSpans(p *plot.Plot, row *rowReport, whos []string) vg.Length {
	s := &spanPlot{chart: c, row: row, whos: whos}
	least, most := math.Inf(1), 0.0
	var u unit
	for _, who := range whos {
		for _, line := range c.at(row, who) {
			u = line.Unit
			least, most = min(least, line.Median), max(most, line.Median)
		}
	}
	p.Add(grid(false), s)
	p.X.Min, p.X.Max = powerBelow(least), most*math.Pow(most/least, 0.12) // room for the last label
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, logTicks{u}
	nameRows(p, whos)
	for i, name := range c.marks {
		p.Legend.Add(name, glyph{mark(i)})
	}
	return framing(p, len(c.marks)) + vg.Length(len(whos))*36
}

// spanPlot draws the marks, and under the line the first and the last of them in
// figures.
type spanPlot struct {
	chart
	row  *rowReport
	whos []string
}

func (s *spanPlot) Plot(dc draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&dc)
	for i, who := range s.whos {
		at := y(float64(len(s.whos)-1-i)) + 5
		marks := s.at(s.row, who)
		least, most := marks[0].Median, marks[0].Median
		for _, line := range marks {
			least, most = min(least, line.Median), max(most, line.Median)
		}
		colour, width := color.Color(weakColour), vg.Length(2)
		if isOurs(who) {
			colour, width = ownColour, 4
		}
		dc.StrokeLine2(lineStyle(colour, width), x(least), at, x(most), at)
		for j := range marks {
			dc.DrawGlyph(mark(j), vg.Point{X: x(marks[j].Median), Y: at})
		}
		label := textStyle(footerSize)
		label.XAlign, label.YAlign = draw.XCenter, draw.YTop
		first, last := marks[0], marks[len(marks)-1]
		apart := x(last.Median) - x(first.Median)
		if apart < 50 {
			label.XAlign = draw.XRight
		}
		dc.FillText(label, vg.Point{X: x(first.Median) + 3, Y: at - 5}, first.Unit.format(first.Median))
		if apart < 50 {
			label.XAlign = draw.XLeft
		}
		dc.FillText(label, vg.Point{X: x(last.Median) - 3, Y: at - 5}, last.Unit.format(last.Median))
	}
}

// addLines draws a line for each who over a logarithmic axis of steps, and gives the
// height of the plot.
func (c chart) addLines(p *plot.Plot, row *rowReport, whos []string) (vg.Length, error) {
	p.Add(grid(true))
	least, most := math.Inf(1), 0.0
	for i, who := range whos {
		var points plotter.XYs
		for _, line := range c.grown(row, who) {
			points = append(points, plotter.XY{X: float64(line.Step), Y: line.Median})
			least, most = min(least, line.Median), max(most, line.Median)
		}
		line, scatter, err := plotter.NewLinePoints(points)
		if err != nil {
			return 0, err
		}
		line.LineStyle = lineStyle(colours[i%len(colours)], 2)
		scatter.GlyphStyle = mark(i)
		p.Add(line, scatter)
		p.Legend.Add(who, line, scatter)
	}
	first, last := c.growth.steps[0], c.growth.steps[len(c.growth.steps)-1]
	p.X.Min, p.X.Max = float64(first)*0.9, float64(last)*1.1
	p.X.Scale = plot.LogScale{}
	var ticks []plot.Tick
	for _, n := range c.growth.steps {
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: thousands(n)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	p.X.Label.Text = c.growth.of
	if c.even {
		p.Y.Min, p.Y.Max = 0, 1.02
	} else {
		p.Y.Min, p.Y.Max = powerBelow(least), powerAbove(most)
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{c.growth.unit}
	}
	return framing(p, len(whos)) + linesHeight, nil
}

// grid is vertical lines, and horizontal ones where that axis has numbers.
func grid(horizontal bool) *plotter.Grid {
	g := &plotter.Grid{Vertical: lineStyle(gridColour, 0.5)}
	if horizontal {
		g.Horizontal = g.Vertical
	}
	return g
}

func powerBelow(v float64) float64 { return math.Pow(10, math.Floor(math.Log10(v))) }
func powerAbove(v float64) float64 { return math.Pow(10, math.Ceil(math.Log10(v))) }

// swatch and glyph are what the legend shows beside a name.
type swatch struct{ colour color.Color }

func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.colour, []vg.Point{
		{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y},
	})
}

type glyph struct{ draw.GlyphStyle }

func (g glyph) Thumbnail(c *draw.Canvas) { c.DrawGlyph(g.GlyphStyle, c.Center()) }
