package proclocks

import (
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// TestPieces: what the kernel gives out again in the next piece is counted once.
func TestPieces(t *testing.T) {
	const sh, ex = oslock.Shared, oslock.Exclusive
	a, b, c := flock(ex, 1), flock(sh, 2), waits(flock(ex, 3))
	ticket := ofd(sh)
	ticket.start, ticket.end = FirstTicket+1, FirstTicket+1
	for name, test := range map[string]struct {
		pieces [][]entry
		want   map[entry]int
	}{
		"none":                   {nil, nil},
		"one":                    {[][]entry{{a, b, b}}, map[entry]int{a: 1, b: 2}},
		"none again":             {[][]entry{{a, b}, {c}}, map[entry]int{a: 1, b: 1, c: 1}},
		"the last again":         {[][]entry{{a, b}, {b, c}}, map[entry]int{a: 1, b: 1, c: 1}},
		"the last two again":     {[][]entry{{a, b, c}, {b, c, ticket}}, map[entry]int{a: 1, b: 1, c: 1, ticket: 1}},
		"all again":              {[][]entry{{a, b, c}, {a, b, c}}, map[entry]int{a: 1, b: 1, c: 1}},
		"not the last":           {[][]entry{{b, a}, {b, c}}, map[entry]int{a: 1, b: 2, c: 1}},
		"in each piece":          {[][]entry{{a, b}, {b, c}, {c, ticket}}, map[entry]int{a: 1, b: 1, c: 1, ticket: 1}},
		"many that look alike":   {[][]entry{{ofd(sh), ofd(sh)}, {ofd(sh), ofd(sh), ofd(sh)}}, map[entry]int{ofd(sh): 5}},
		"again, and look alike":  {[][]entry{{a, ofd(sh)}, {a, ofd(sh), ofd(sh)}}, map[entry]int{a: 1, ofd(sh): 2}},
		"of a file not asked of": {[][]entry{{a, {mechanism: oslock.Flock, mode: ex, pid: 9}}, {{mechanism: oslock.Flock, mode: ex, pid: 9}, b}}, map[entry]int{a: 1, b: 1}},
	} {
		var content strings.Builder
		var ends []int
		for _, piece := range test.pieces {
			for _, e := range piece {
				content.WriteString(printed(e))
			}
			ends = append(ends, content.Len()-5, content.Len()) // and one that ends within a line
		}
		table := table{times: map[entry][]int{}}
		table.add([]byte(content.String()), ends, func(id FileID) bool { return id == file })
		for _, e := range []entry{a, b, c, ticket, ofd(sh)} {
			n := 0
			for _, times := range table.times[e] {
				n += times
			}
			if n != test.want[e] {
				t.Errorf("%s: %+v comes %d times, want %d", name, e, n, test.want[e])
			}
		}
		if len(table.order) != len(test.want) {
			t.Errorf("%s: %+v", name, table.order)
		}
	}
}
