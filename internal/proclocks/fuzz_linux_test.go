package proclocks

import (
	"slices"
	"strings"
	"testing"
)

// FuzzTable: a table has the locks of its lines, and where it was cut into pieces it
// has none that no line has.
func FuzzTable(f *testing.F) {
	whole := ""
	for _, seed := range lines {
		whole += seed.line + "\n"
	}
	f.Add([]byte(whole), uint16(100), uint16(200))
	f.Add([]byte("1: FLOCK ADVISORY READ 1 1:1:1 0 EOF\n\n\r\n1:"), uint16(3), uint16(3))
	f.Fuzz(func(t *testing.T, content []byte, first, second uint16) {
		var want []entry
		for _, line := range strings.Split(string(content), "\n") {
			if e, ok := parseEntry([]byte(line)); ok {
				want = append(want, e)
			}
		}
		if got := slices.Collect(entries(content)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, not %v", content, got, want)
		}
		ends := []int{min(int(first), len(content)), min(int(second), len(content)), len(content)}
		slices.Sort(ends)
		tab := table{times: map[entry][]int{}}
		for range readings {
			tab.add(content, ends, func(FileID) bool { return true })
		}
		for _, e := range tab.order {
			if !tab.has(e) || tab.copies(e) < 1 || tab.copies(e) > len(want) {
				t.Errorf("%q: %d copies of %+v", content, tab.copies(e), e)
			}
		}
	})
}
