package main

import (
	"math"
	"slices"
)

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// quantile is the smallest value that at least the fraction q of all values does
// not exceed (the nearest-rank method).
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(q * float64(len(s))))
	return s[min(max(rank, 1), len(s))-1]
}

// jain is Jain's fairness index of how often each got its turn: 1 when all got the
// same, 1/n when one of n got everything. (Jain, Chiu, Hawe: "A Quantitative
// Measure of Fairness and Discrimination", DEC-TR-301, 1984.)
func jain(turns []uint64) float64 {
	var sum, squares float64
	for _, n := range turns {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if squares == 0 {
		return math.NaN()
	}
	return sum * sum / (float64(len(turns)) * squares)
}

// spread is the smallest number of turns divided by the largest.
func spread(turns []uint64) float64 {
	if len(turns) == 0 || slices.Max(turns) == 0 {
		return math.NaN()
	}
	return float64(slices.Min(turns)) / float64(slices.Max(turns))
}
