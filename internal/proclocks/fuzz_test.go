package proclocks

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// FuzzLine: a line of the table of locks makes a lock or nothing; one that is made is
// within bounds, and is made again from the line that the kernel would write for it.
func FuzzLine(f *testing.F) {
	for _, seed := range lines {
		f.Add([]byte(seed.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := parseEntry(line)
		if !ok {
			return
		}
		if e.pid < 0 || e.start < 0 || e.end < e.start {
			t.Errorf("%q: %+v is out of bounds", line, e)
		}
		if l := e.lock(); l.Length < 0 || l.Start < 0 || l.PID != e.pid {
			t.Errorf("%q: %+v", line, l)
		}
		if again, ok := parseEntry([]byte(lineOf(e))); !ok || again != e {
			t.Errorf("%q: %+v becomes %q and then %+v", line, e, lineOf(e), again)
		}
	})
}

// lineOf writes a lock as the kernel does (lock_get_status of Linux's fs/locks.c).
func lineOf(e entry) string {
	var b strings.Builder
	b.WriteString("1: ")
	if e.waiting {
		b.WriteString("-> ")
	}
	for class, m := range classes {
		if m == e.mechanism {
			b.WriteString(class)
		}
	}
	mode := map[oslock.Mode]string{oslock.Shared: "READ", oslock.Exclusive: "WRITE", 0: "RW"}[e.mode]
	end := "EOF"
	if e.end != math.MaxInt64 {
		end = fmt.Sprint(e.end)
	}
	fmt.Fprintf(&b, " ADVISORY %s %d %02x:%02x:%d %d %s", mode, e.pid, e.file.Major, e.file.Minor, e.file.Inode, e.start, end)
	return b.String()
}

// FuzzProcess: the other files of /proc that are read, whose contents other users'
// processes have a say in: their names stand there, too.
func FuzzProcess(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t02100002\nmnt_id:\t29\nino:\t1234\nlock:\t1: FLOCK  ADVISORY  WRITE 4242 08:02:123456 0 EOF\n"), 29)
	f.Add([]byte("29 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"), 29)
	f.Add([]byte("4242 (a) b (c)\n) S 17 4242 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 0 0\n"), 0)
	f.Add([]byte("72 0x3 0x26 0x7ffc 0x0 0x0 0x0 0x7ffd 0x7f00\n"), 38)
	f.Add([]byte("lock:\nino: -1\nmnt_id: 99999999999999999999\n"), -1)
	f.Fuzz(func(t *testing.T, content []byte, number int) {
		for _, e := range parseInfo(content).locks {
			if e.pid < 0 || e.start < 0 || e.end < e.start {
				t.Errorf("%q: %+v", content, e)
			}
		}
		if _, _, ok := parseMountDevice(content, number); ok && !strings.Contains(string(content), ":") {
			t.Errorf("%q has no device", content)
		}
		parseOrigin(content)
		if fd, ok := parseBlocked(content, uint64(number)); ok && fd < 0 {
			t.Errorf("%q: descriptor %d", content, fd)
		}
	})
}

// FuzzOrigin: a process's name cannot pass itself off as what stands behind it.
func FuzzOrigin(f *testing.F) {
	f.Add("sh", uint16(1), uint64(5))
	f.Add(") S 99 0 0 (", uint16(17), uint64(123456))
	f.Add("\n)", uint16(0), uint64(0))
	f.Fuzz(func(t *testing.T, name string, parent uint16, start uint64) {
		stat := fmt.Sprintf("42 (%s) S %d %s%d 0 0\n", name, parent, strings.Repeat("7 ", 17), start)
		if got := parseOrigin([]byte(stat)); got.parent != int(parent) || got.start != start {
			t.Errorf("%q: %+v", stat, got)
		}
	})
}
