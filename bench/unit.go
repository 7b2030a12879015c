package main

import (
	"fmt"
	"math"
	"strconv"
)

// unit is what the values of a figure count.
type unit string

const (
	duration unit = "ns"
	size     unit = "bytes"
	count    unit = "count"
	number   unit = "" // a ratio or an index
)

// format prints a value with about three digits.
func (u unit) format(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	switch u {
	case duration:
		for _, scale := range []struct {
			unit string
			ns   float64
		}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
			if math.Abs(v) >= scale.ns {
				return digits(v/scale.ns) + " " + scale.unit
			}
		}
		return digits(v) + " ns"
	case size:
		return digits(v/1024) + " KiB"
	case count:
		return fmt.Sprintf("%.0f", v)
	}
	return digits(v)
}

// digits prints three digits, more where that would cut the integer part.
func digits(v float64) string {
	decimals := 0
	for limit := 100.0; decimals < 3 && math.Abs(v) < limit; limit /= 10 {
		decimals++
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	f, _ := strconv.ParseFloat(s, 64) // of what FormatFloat has written
	return strconv.FormatFloat(f, 'f', -1, 64)
}
