package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// sample is a report with values for all figures of all charts.
func sample(t *testing.T) *report {
	t.Helper()
	rep := &report{Machine: machine{
		CPU: "Some <CPU> & more", CPUs: 2, Kernel: "Linux 6.1", Filesystem: "ext4", Go: "go1.26",
		Peers: []string{"gofrs/flock v0.13.2", "redis/rueidis v1.0.79", "redis-server 7.0.15", "Python 3.11.7", "Python filelock 4.2.12"},
	}}
	for _, w := range rows() {
		r := newResults()
		r.runs = 3
		whos := []string{ours, kernel}
		if strings.HasPrefix(w.name, "redis") {
			whos = []string{oursRedis, rueidisPeer}
		}
		for run := range r.runs {
			for _, c := range charts() {
				if c.row != w.name {
					continue
				}
				for i, who := range whos {
					for j, f := range c.figures {
						r.record(who, f, float64((i+2)*(j+1)*1000+run))
					}
					for _, n := range c.growth.steps {
						r.record(who, c.growth.at(n), float64((i+2)*1000*n+run))
					}
				}
			}
		}
		rep.add(w, r, "commit 0123456789", "0.25 0.50 0.75", nil)
	}
	return rep
}

// texts are the texts of an SVG, which must be well-formed.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var found []string
	inText := false
	for dec := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the SVG is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				found = append(found, string(token))
			}
		}
	}
}

func TestChartsNameAllThatTheyShow(t *testing.T) {
	rep := sample(t)
	for _, c := range charts() {
		t.Run(c.name, func(t *testing.T) {
			svg, err := c.svg(rep)
			if err != nil {
				t.Fatal(err)
			}
			got := texts(t, svg)
			row := rep.row(c.row)
			want := append(row.whos(), c.marks...)
			want = append(want, c.title)
			for _, n := range c.growth.steps {
				want = append(want, thousands(n))
			}
			for _, s := range want {
				if !slices.Contains(got, s) {
					t.Errorf("no text %q in %q", s, got)
				}
			}
			// The footer may be broken anywhere.
			all := strings.Join(got, " ")
			for _, s := range []string{"Some <CPU> & more, 2 CPUs, Linux 6.1, ext4, go1.26", "of 3 runs", "commit 0123456789", "load average 0.25"} {
				if !strings.Contains(all, s) {
					t.Errorf("the footer does not say %q: %q", s, all)
				}
			}
		})
	}
}

func TestChartsNeedNotHaveEverybody(t *testing.T) {
	w := handoverRow()
	r := newResults()
	r.runs = 1
	r.record(ours, handoverMedian, 5e4)
	r.record(ours, handoverP99, 9e4)
	r.record(kernel, handoverMedian, 3e4) // and no p99
	rep := &report{}
	rep.add(w, r, "", "", nil)
	for _, c := range charts() {
		if got := c.drawable(rep); got != (c.row == "handover") {
			t.Errorf("%s: drawable = %v", c.name, got)
		}
		if !c.drawable(rep) {
			continue
		}
		svg, err := c.svg(rep)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(t, svg); !slices.Contains(got, ours) || slices.Contains(got, kernel) {
			t.Errorf("%s: texts %q, want %s, and %s left out", c.name, got, ours, kernel)
		}
	}
}

func TestChartNamesAreFileNames(t *testing.T) {
	var names []string
	all := rowNames(rows())
	for _, c := range charts() {
		if slices.Contains(names, c.name) {
			t.Errorf("two charts are called %s", c.name)
		}
		names = append(names, c.name)
		if !slices.Contains(all, c.row) {
			t.Errorf("chart %s is of row %q, which is not there", c.name, c.row)
		}
		if len(c.figures) > 1 && len(c.marks) != len(c.figures) {
			t.Errorf("chart %s has %d figures and %d names for them", c.name, len(c.figures), len(c.marks))
		}
	}
}

// The contrast is that of WCAG 2.1: the lighter luminance and 0.05, divided by the
// darker one and 0.05.
func TestColoursAreReadableOnLightAndDark(t *testing.T) {
	luminance := func(c color.RGBA) float64 {
		linear := func(v uint8) float64 {
			s := float64(v) / 255
			if s <= 0.04045 {
				return s / 12.92
			}
			return math.Pow((s+0.055)/1.055, 2.4)
		}
		return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
	}
	contrast := func(a, b color.RGBA) float64 {
		x, y := luminance(a), luminance(b)
		return (max(x, y) + 0.05) / (min(x, y) + 0.05)
	}
	white, dark := color.RGBA{255, 255, 255, 255}, color.RGBA{0x0d, 0x11, 0x17, 255}
	for _, c := range append([]color.RGBA{weakColour}, colours...) {
		if w, d := contrast(c, white), contrast(c, dark); w < 3 || d < 3 {
			t.Errorf("%v has a contrast of %.2f to white and %.2f to dark", c, w, d)
		}
	}
	if w, d := contrast(textColour, white), contrast(textColour, dark); w < 4.3 || d < 4.3 {
		t.Errorf("the text has a contrast of %.2f to white and %.2f to dark", w, d)
	}
}

func TestWrapLosesNothing(t *testing.T) {
	s := strings.Repeat("some words and another ", 20)
	lines := wrap(s, 200)
	if got := strings.Join(lines, " "); got != strings.TrimSpace(s) {
		t.Errorf("wrap made %q of %q", got, s)
	}
	for _, line := range lines {
		if w := textStyle(footerSize).Width(line); w > 200 {
			t.Errorf("%q is %v wide", line, w)
		}
	}
}

func TestLogTicks(t *testing.T) {
	var labels []string
	for _, tick := range (logTicks{duration}).Ticks(1e4, 1e7) {
		if tick.Label != "" {
			labels = append(labels, tick.Label)
		}
		if tick.Value < 1e4 || tick.Value > 1e7*1.000001 {
			t.Errorf("a tick at %v", tick.Value)
		}
	}
	if got := fmt.Sprint(labels); got != "[10 µs 100 µs 1 ms 10 ms]" {
		t.Errorf("labels %s", got)
	}
}
