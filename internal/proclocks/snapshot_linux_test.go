package proclocks

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/oslock"
)

// file is one that stat and the table of locks name alike.
var file = FileID{8, 2, 123}

func flock(mode oslock.Mode, pid int) entry {
	return entry{mechanism: oslock.Flock, mode: mode, pid: pid, file: file, end: math.MaxInt64}
}

func ofd(mode oslock.Mode) entry {
	return entry{mechanism: oslock.OFD, mode: mode, file: file, end: math.MaxInt64}
}

func waits(e entry) entry {
	e.waiting = true
	return e
}

// shows is a descriptor of a process that has these locks on the file.
func shows(pid, fd int, locks ...entry) descriptor {
	return descriptor{pid: pid, fd: fd, dev: unix.Mkdev(8, 2), ino: 123, path: "/file", locks: locks}
}

// readingsOf is a table that was read with these results.
func readingsOf(readings ...[]entry) *table {
	t := &table{times: map[entry][]int{}, torn: len(readings) > 1}
	for _, reading := range readings {
		var content strings.Builder
		for _, e := range reading {
			content.WriteString(printed(e))
		}
		t.add([]byte(content.String()), []int{content.Len()}, func(id FileID) bool { return id == file })
	}
	return t
}

// endedPID is the number of a process that is no more.
func endedPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestSnapshot: who is told to hold and to wait, for what the table and the processes
// show. The processes are real: this one, and its parent, which is older.
func TestSnapshot(t *testing.T) {
	me, parent, ended := os.Getpid(), os.Getppid(), endedPID(t)
	const sh, ex = oslock.Shared, oslock.Exclusive
	held, inherited := flock(ex, me), flock(ex, ended)
	ticket := entry{mechanism: oslock.OFD, mode: sh, file: file, start: FirstTicket + 5, end: FirstTicket + 5}
	all := []int{me, parent}
	for name, c := range map[string]struct {
		before, after []entry // before is like after if nil
		open          []descriptor
		seen          []int
		want          string // PIDs, and "waits" before those of waiters
		doubtful      bool
	}{
		"nothing":                      {},
		"its own":                      {after: []entry{held}, open: []descriptor{shows(me, 3, held)}, seen: all, want: "me"},
		"its own, twice open":          {after: []entry{held}, open: []descriptor{shows(me, 3, held), shows(me, 4, held)}, seen: all, want: "me"},
		"a child has it too":           {after: []entry{held}, open: []descriptor{shows(parent, 3, held), shows(me, 3, held)}, seen: all, want: "me"},
		"inherited":                    {after: []entry{inherited}, open: []descriptor{shows(me, 3, inherited)}, seen: all, want: "me"},
		"inherited by two":             {after: []entry{inherited}, open: []descriptor{shows(me, 3, inherited), shows(parent, 3, inherited)}, seen: all, want: "parent"},
		"inherited by one unseen":      {after: []entry{inherited}, seen: all, want: "0"},
		"of one unseen":                {after: []entry{held}, seen: []int{parent}, want: "me"},
		"new":                          {before: []entry{inherited}, after: []entry{held}, seen: all, want: "me"},
		"released meanwhile":           {before: []entry{held}, after: []entry{}, open: []descriptor{shows(me, 3, held)}, seen: all},
		"seen, and does not show it":   {after: []entry{held}, seen: all, want: "0", doubtful: true},
		"on two files, alike":          {before: []entry{held}, after: []entry{held, flock(ex, parent)}, open: []descriptor{shows(me, 3, held)}, seen: all, want: "me parent"},
		"shared by two":                {after: []entry{flock(sh, me), flock(sh, parent)}, open: []descriptor{shows(me, 3, flock(sh, me)), shows(parent, 3, flock(sh, parent))}, seen: all, want: "me parent"},
		"shared twice, inherited once": {after: []entry{flock(sh, ended), flock(sh, ended)}, open: []descriptor{shows(me, 3, flock(sh, ended))}, seen: all, want: "me 0"},
		"posix of one unseen":          {after: []entry{{mechanism: oslock.POSIX, mode: ex, pid: me, file: file}}, seen: all, want: "me"},
		"ofd":                          {after: []entry{ofd(ex)}, open: []descriptor{shows(me, 3, ofd(ex))}, seen: all, want: "me"},
		"ofd of parent and child":      {after: []entry{ofd(ex)}, open: []descriptor{shows(me, 3, ofd(ex)), shows(parent, 3, ofd(ex))}, seen: all, want: "parent"},
		"ofd of one unseen":            {after: []entry{ofd(ex)}, seen: all, want: "0"},
		"ofd shared by two":            {after: []entry{ofd(sh), ofd(sh)}, open: []descriptor{shows(me, 3, ofd(sh)), shows(parent, 3, ofd(sh))}, seen: all, want: "parent me"},
		"waits in the kernel":          {after: []entry{held, waits(flock(ex, parent))}, open: []descriptor{shows(me, 3, held)}, seen: all, want: "me waits parent"},
		"waits twice":                  {after: []entry{held, waits(flock(sh, parent)), waits(flock(sh, parent))}, open: []descriptor{shows(me, 3, held)}, seen: all, want: "me waits parent waits parent"},
		"waits for an ofd lock":        {after: []entry{ofd(ex), waits(ofd(ex))}, open: []descriptor{shows(me, 3, ofd(ex)), shows(parent, 9999)}, seen: all, want: "me waits 0"},
		"has a ticket":                 {after: []entry{ticket}, open: []descriptor{shows(me, 3, ticket)}, seen: all, want: "waits me"},
		"has a ticket, unseen":         {after: []entry{ticket}, seen: all, want: "waits 0"},
		"has got it, ticket and all":   {after: []entry{held, ticket}, open: []descriptor{shows(me, 3, held, ticket)}, seen: all, want: "me"},
		"hidden":                       {after: []entry{}, open: []descriptor{shows(me, 3, flock(ex, 0)), shows(parent, 3, flock(ex, 0))}, seen: all, want: "parent"},
		"hidden, shared":               {after: []entry{}, open: []descriptor{shows(me, 3, flock(sh, 0)), shows(parent, 3, flock(sh, 0))}, seen: all, want: "parent me"},
		"of another file":              {after: []entry{}, open: []descriptor{shows(me, 3, entry{mechanism: oslock.Flock, mode: ex, file: FileID{8, 2, 9}})}, seen: all},
	} {
		p := processes{open: c.open, seen: map[int]bool{}}
		for _, pid := range c.seen {
			p.seen[pid] = true
		}
		if c.before == nil {
			c.before = c.after
		}
		s := newSnapshot(readingsOf(c.before), p, readingsOf(c.after), func(id FileID) bool { return id == file })
		var got []string
		for _, f := range s.found {
			if f.Waiting {
				got = append(got, "waits")
			}
			who, ok := map[int]string{me: "me", parent: "parent", 0: "0"}[f.PID]
			if !ok || (f.Command != "") != (f.PID != 0) {
				t.Errorf("%s: who is %d, %q?", name, f.PID, f.Command)
			}
			got = append(got, who)
		}
		if got := strings.Join(got, " "); got != c.want || s.doubtful != c.doubtful {
			t.Errorf("%s: %q, doubtful %t; want %q", name, got, s.doubtful, c.want)
		}
	}
}

// TestTornTable: a table of several pages lacks locks that are there, and has some
// twice, differently each time that it is read.
func TestTornTable(t *testing.T) {
	me, parent := os.Getpid(), os.Getppid()
	const sh, ex = oslock.Shared, oslock.Exclusive
	mine, theirs := flock(ex, me), flock(ex, parent)
	all := map[int]bool{me: true, parent: true}
	part := func(start, end int64) entry {
		return entry{mechanism: oslock.POSIX, mode: ex, pid: me, file: file, start: start, end: end}
	}
	for name, c := range map[string]struct {
		before, after [][]entry
		open          []descriptor
		seen          map[int]bool
		want          []int
	}{
		"twice":              {after: [][]entry{{mine, mine}, {mine}, {mine, mine}}, open: []descriptor{shows(me, 3, mine)}, want: []int{me}},
		"twice, unseen":      {after: [][]entry{{mine, mine}, {mine, mine}}, seen: map[int]bool{}, want: []int{me}},
		"lacking in one":     {after: [][]entry{{}, {mine}, {}}, open: []descriptor{shows(me, 3, mine)}, want: []int{me}},
		"lacking in all":     {before: [][]entry{{mine}, {}}, after: [][]entry{{}, {}, {}}, open: []descriptor{shows(me, 3, mine)}, want: []int{me}},
		"unseen, lacking":    {after: [][]entry{{}, {mine}, {}}, seen: map[int]bool{}, want: []int{me}},
		"one after another":  {before: [][]entry{{mine}}, after: [][]entry{{mine}, {theirs}}, open: []descriptor{shows(me, 3, mine)}, want: []int{parent}},
		"both in one":        {before: [][]entry{{mine}}, after: [][]entry{{mine, theirs}, {mine, theirs}}, open: []descriptor{shows(me, 3, mine)}, want: []int{me}},
		"readers for writer": {before: [][]entry{{mine}}, after: [][]entry{{mine}, {flock(sh, parent), flock(sh, me)}}, open: []descriptor{shows(me, 3, mine)}, want: []int{parent, me}},
		"readers twice":      {after: [][]entry{{ofd(sh), ofd(sh)}, {ofd(sh), ofd(sh), ofd(sh)}, {ofd(sh), ofd(sh)}}, open: []descriptor{shows(me, 3, ofd(sh)), shows(parent, 3, ofd(sh))}, want: []int{parent, me}},
		"readers lacking":    {after: [][]entry{{ofd(sh), ofd(sh)}, {ofd(sh)}, {ofd(sh), ofd(sh)}}, open: []descriptor{shows(me, 3, ofd(sh)), shows(parent, 3, ofd(sh))}, want: []int{parent, me}},
		"reader, twice":      {after: [][]entry{{flock(sh, me), flock(sh, me)}, {flock(sh, me)}, {flock(sh, me)}}, seen: map[int]bool{}, want: []int{me}},
		"reader, always two": {after: [][]entry{{ofd(sh), ofd(sh)}, {ofd(sh), ofd(sh)}}, open: []descriptor{shows(me, 3, ofd(sh))}, want: []int{me}},
		"waits, twice":       {after: [][]entry{{waits(mine)}, {waits(mine), waits(mine)}, {waits(mine)}}, want: []int{me}},
		"waits, lacking":     {after: [][]entry{{}, {waits(mine)}, {}}, want: []int{me}},
		"parts of a file":    {after: [][]entry{{part(0, 4), part(5, 9)}, {part(5, 9)}}, want: []int{me, me}},
		"other parts now":    {after: [][]entry{{part(0, 5)}, {part(5, 9)}}, want: []int{me}},
	} {
		if c.seen == nil {
			c.seen = all
		}
		if c.before == nil {
			c.before = c.after
		}
		s := newSnapshot(readingsOf(c.before...), processes{open: c.open, seen: c.seen}, readingsOf(c.after...), func(FileID) bool { return true })
		var got []int
		for _, f := range s.found {
			got = append(got, f.PID)
		}
		if !slices.Equal(got, c.want) || s.doubtful {
			t.Errorf("%s: %v, doubtful %t; want %v", name, got, s.doubtful, c.want)
		}
	}
}

// TestLikely: who has a lock from somebody else comes after those who have not. PIDs
// start over, so a child's may be the lower one.
func TestLikely(t *testing.T) {
	for name, c := range map[string]struct {
		taker  int
		owners []int
		want   []int
	}{
		"by age":                   {0, []int{50, 70, 60}, []int{60, 70, 50}},
		"the taker first":          {50, []int{60, 70, 50}, []int{50, 60, 70}},
		"heirs last":               {0, []int{40, 41, 70}, []int{40, 70, 41}},
		"heirs of heirs":           {0, []int{42, 40, 70}, []int{40, 70, 42}},
		"an heir alone":            {0, []int{42, 70}, []int{70, 42}},
		"copies of the same":       {0, []int{60, 60, 70}, []int{60, 70, 60}},
		"copies of one with heirs": {0, []int{40, 40, 41}, []int{40, 40, 41}},
		"all of the taker":         {50, []int{50, 50, 60}, []int{50, 50, 60}},
	} {
		s := snapshot{
			owners: map[entry][]*descriptor{},
			origins: map[int]origin{
				1: {0, 1}, 50: {1, 9}, 60: {1, 7}, 70: {1, 7},
				40: {1, 2}, 41: {40, 3}, 42: {41, 10},
			},
		}
		e := entry{pid: c.taker}
		for _, pid := range c.owners {
			s.owners[e] = append(s.owners[e], &descriptor{pid: pid})
		}
		var got []int
		for _, d := range s.likely(e) {
			got = append(got, d.pid)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestSameNumbers: a lock on another file that has the same device and inode in the
// table, as overlayfs and btrfs have them, is not told of the target.
func TestSameNumbers(t *testing.T) {
	me := os.Getpid()
	here := &target{dev: unix.Mkdev(8, 2), ino: 123, id: file}
	there := &target{dev: unix.Mkdev(0, 77), ino: 123, id: file}
	held := flock(oslock.Exclusive, me)
	s := newSnapshot(readingsOf(nil), processes{open: []descriptor{shows(me, 3, held)}, seen: map[int]bool{me: true}},
		readingsOf([]entry{held, waits(flock(oslock.Shared, me)), waits(flock(oslock.Shared, 1))}), func(FileID) bool { return true })
	if len(s.found) != 3 {
		t.Fatalf("found %+v", s.found)
	}
	for i, want := range []struct{ here, there bool }{
		{true, false}, // it shows the lock
		{true, false}, // it has that file open, and not the other one
		{true, true},  // nothing is known of it
	} {
		if f := &s.found[i]; s.mayBeOn(f, here) != want.here || s.mayBeOn(f, there) != want.there {
			t.Errorf("lock %d is here %t, there %t", i, s.mayBeOn(f, here), s.mayBeOn(f, there))
		}
	}
}

// TestSameNumbersTwice: both files are locked, by the same process.
func TestSameNumbersTwice(t *testing.T) {
	me := os.Getpid()
	held := flock(oslock.Exclusive, me)
	other := shows(me, 4, held)
	other.dev = unix.Mkdev(0, 77)
	for _, after := range [][]entry{{held, held}, {held}} { // the table may lack one
		s := newSnapshot(readingsOf(nil), processes{open: []descriptor{shows(me, 3, held), other, shows(1, 3, held)}, seen: map[int]bool{me: true}},
			readingsOf(after), func(FileID) bool { return true })
		if len(s.found) != 2 || s.found[0].owner.dev == s.found[1].owner.dev {
			t.Errorf("found %+v", s.found)
		}
	}
}

// TestScan: this process lets its descriptors be seen, with the locks on them.
func TestScan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	p := scan(func(other *unix.Stat_t) bool { return other.Dev == st.Dev && other.Ino == st.Ino })
	if !p.seen[os.Getpid()] || len(p.open) != 1 {
		t.Fatalf("seen: %t, found %+v", p.seen[os.Getpid()], p.open)
	}
	d := p.open[0]
	if d.pid != os.Getpid() || d.fd != int(f.Fd()) || d.path != path || len(d.locks) != 1 || d.locks[0].mode != oslock.Shared {
		t.Errorf("found %+v", d)
	}
}

// TestInOrder: by path, then holders, those without a ticket, and tickets by arrival.
func TestInOrder(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	locks := []Lock{
		{PID: 5, Path: "/a", Waiting: true, Since: at(30)},
		{PID: 4, Path: "/a", Waiting: true, Since: at(20)},
		{PID: 7, Path: "/b"},
		{PID: 2, Path: "/a", Waiting: true},
		{PID: 3, Path: "/a", Waiting: true},
		{PID: 1, Path: "/a"},
		{PID: 6, Path: "/a", File: file},
	}
	inOrder(locks)
	var got []int
	for _, l := range locks {
		got = append(got, l.PID)
	}
	if !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

// TestSince: a ticket tells when its waiter came, on the clock that counts while the
// machine runs.
func TestSince(t *testing.T) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	now := ts.Nano() / 1000 // since the machine started
	for _, waited := range []time.Duration{0, time.Duration(now) * time.Microsecond / 2, -time.Hour} {
		e := entry{mechanism: oslock.OFD, mode: oslock.Shared, file: file, start: FirstTicket + now - waited.Microseconds()}
		e.end = e.start
		s := newSnapshot(readingsOf(nil), processes{}, readingsOf([]entry{e}), func(FileID) bool { return true })
		since := s.found[0].Since
		if waited < 0 { // of a clock that is ahead, as in another time namespace
			if !since.IsZero() {
				t.Errorf("one who comes in future waits since %v", since)
			}
			continue
		}
		if off := time.Since(since) - waited; off < 0 || off > time.Minute {
			t.Errorf("waited for %v: off by %v", waited, off)
		}
	}
}
