package main

import (
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	chartWidth  = 600 * vg.Length(1) // points
	linesHeight = 210 * vg.Length(1)
	barHeight   = 15 * vg.Length(1)
	margin      = 10 * vg.Length(1)

	// Where neither Liberation Sans nor its like is there, text can be wider than was
	// reckoned. So wide can it be without touching anything.
	fontSlack = 1.2

	titleSize  = 14
	labelSize  = 11
	footerSize = 9
	footerLine = 12 * vg.Length(1)
)

// The background is that of the page. All colours have a contrast of at least 3 to
// white and to #0d1117, which is what WCAG 2.1 (1.4.11) asks of graphics; the text,
// 4.3 to both. A test computes it.
var (
	textColour = color.RGBA{0x79, 0x79, 0x79, 0xff}
	ownColour  = color.RGBA{0x1f, 0x7a, 0xe0, 0xff}
	weakColour = color.RGBA{0x8c, 0x8c, 0x8c, 0xff}
	gridColour = color.NRGBA{0x80, 0x80, 0x80, 0x40} // need not be seen to read the chart

	// colours are those of lines, and of marks and bars where one who has several.
	colours = []color.RGBA{
		ownColour,
		{0xc9, 0x6a, 0x14, 0xff},
		{0x2b, 0x94, 0x4f, 0xff},
		{0xa8, 0x5b, 0xd6, 0xff},
		{0xd1, 0x4b, 0x4b, 0xff},
	}
)

// shapes tell the marks apart without their colours.
var shapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{},
}

func mark(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: colours[i%len(colours)], Radius: 3.5, Shape: shapes[i%len(shapes)]}
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text = title
	p.Title.TextStyle = textStyle(titleSize)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.Padding = margin
	p.Legend.TextStyle = textStyle(labelSize)
	p.Legend.Padding = 2
	p.Legend.Left = true
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = textColour, textColour
		label, tick := textStyle(labelSize), textStyle(labelSize)
		label.XAlign, label.YAlign = axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign
		label.Rotation = axis.Label.TextStyle.Rotation
		tick.XAlign, tick.YAlign = axis.Tick.Label.XAlign, axis.Tick.Label.YAlign
		axis.Label.TextStyle, axis.Tick.Label = label, tick
	}
	return p
}

func textStyle(size font.Length) text.Style {
	return text.Style{
		Color:   textColour,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: plot.DefaultTextHandler,
	}
}

func lineStyle(c color.Color, width vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: width}
}

// wrap breaks the footer into lines.
func wrap(s string, width vg.Length) []string {
	style := textStyle(footerSize)
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		longer := strings.TrimPrefix(line+" "+word, " ")
		if line != "" && style.Width(longer)*fontSlack > width {
			lines = append(lines, line)
			longer = word
		}
		line = longer
	}
	return append(lines, line)
}

// unitTicks are the ticks of a linear axis, with units.
type unitTicks struct{ unit unit }

func (t unitTicks) Ticks(least, most float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = t.unit.format(ticks[i].Value)
		}
	}
	return ticks
}

// logTicks are the ticks of a logarithmic axis: one for each power of ten.
type logTicks struct{ unit unit }

func (t logTicks) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(least)); math.Pow(10, e) <= most*(1+1e-9); e++ {
		power := math.Pow(10, e)
		if power >= least*(1-1e-9) {
			ticks = append(ticks, plot.Tick{Value: power, Label: t.unit.format(power)})
		}
		for m := 2.0; m < 10; m++ {
			if power*m >= least && power*m <= most {
				ticks = append(ticks, plot.Tick{Value: power * m})
			}
		}
	}
	return ticks
}
