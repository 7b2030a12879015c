package proclocks

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// table is /proc/locks. The kernel gives it out page by page, and goes on at the same
// number of a lock, whatever has come and gone meanwhile. So where it is longer than a
// page, and some program locks and unlocks all the time, almost each reading has some
// other locks twice and lacks some (seq_read_iter in fs/seq_file.c of Linux). Even after
// a short one the last locks can come again. Then it is read several times.
type table struct {
	order []entry         // each once, as they came
	times map[entry][]int // how often, in each of the readings that have it
	last  map[entry]bool  // those of the last reading
	torn  bool            // it was given out in pieces
}

const (
	// readings is how often a table of several pieces is read. What is there all the
	// time lacks in all of them hardly ever.
	readings = 3

	// largestPage is that of any machine that Linux runs on with its usual settings.
	largestPage = 64 << 10
)

// readTable reads the locks on the files that are covered.
func readTable(covers func(FileID) bool) (*table, error) {
	t := table{times: map[entry][]int{}}
	var buffer []byte
	for range readings {
		content, ends, err := readPieces(unix.AT_FDCWD, "/proc/locks", buffer[:0], largestPage)
		if err != nil {
			return nil, err
		}
		t.add(content, ends, covers)
		if len(ends) <= 1 {
			break // it is of one moment
		}
		t.torn = true
		buffer = content
	}
	return &t, nil
}

// add adds a reading.
func (t *table) add(content []byte, ends []int, covers func(FileID) bool) {
	found := map[entry]int{}
	t.last = map[entry]bool{}
	var previous []entry
	begin := 0
	for _, end := range ends {
		if !bytes.HasSuffix(content[begin:end], []byte("\n")) {
			continue // there was no room for all of the piece
		}
		piece := slices.Collect(entries(content[begin:end]))
		for _, e := range piece[repeated(previous, piece):] {
			if !covers(e.file) {
				continue
			}
			if found[e] == 0 && t.times[e] == nil {
				t.order = append(t.order, e)
			}
			found[e]++
			t.last[e] = true
		}
		previous, begin = piece, end
	}
	for e, n := range found {
		t.times[e] = append(t.times[e], n)
	}
}

// repeated is how many locks at the end of one piece come again at the begin of the
// next, since as many new ones have come before them. OFD locks that are shared all look
// alike, so those alone show nothing.
func repeated(piece, next []entry) int {
	alike := func(e entry) bool { return e.mechanism == oslock.OFD && e.mode == oslock.Shared }
	for n := min(len(piece), len(next)); n > 0; n-- {
		if slices.Equal(piece[len(piece)-n:], next[:n]) && slices.ContainsFunc(next[:n], func(e entry) bool { return !alike(e) }) {
			return n
		}
	}
	return 0
}

func (t *table) has(e entry) bool { return len(t.times[e]) > 0 }

// copies is how many locks look like e: what most of the readings say that have it.
func (t *table) copies(e entry) int {
	times := slices.Sorted(slices.Values(t.times[e]))
	switch {
	case len(times) == 0:
		return 0
	case !e.waiting && (e.mode == oslock.Exclusive || e.mechanism == oslock.POSIX):
		return 1 // the system does not give out two
	}
	return times[(len(times)-1)/2]
}
