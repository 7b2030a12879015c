package proclocks

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// These are lines of real systems, and what can stand there by the kernel's source.
var lines = []struct {
	line string
	want entry // zero for none
}{
	{"1: FLOCK  ADVISORY  WRITE 4242 08:02:123456 0 EOF",
		entry{mechanism: oslock.Flock, mode: oslock.Exclusive, pid: 4242, file: FileID{8, 2, 123456}, end: math.MaxInt64}},
	{"71: -> FLOCK  ADVISORY  READ 26276 fe:00:10005106 0 EOF",
		entry{mechanism: oslock.Flock, mode: oslock.Shared, waiting: true, pid: 26276, file: FileID{254, 0, 10005106}, end: math.MaxInt64}},
	{"71:  -> FLOCK  ADVISORY  READ 7 fe:00:10005106 0 EOF", // waits for one that waits
		entry{mechanism: oslock.Flock, mode: oslock.Shared, waiting: true, pid: 7, file: FileID{254, 0, 10005106}, end: math.MaxInt64}},
	{"70: OFDLCK ADVISORY  READ -1 00:29:2 10 14",
		entry{mechanism: oslock.OFD, mode: oslock.Shared, file: FileID{0, 0x29, 2}, start: 10, end: 14}},
	{"1: OFDLCK ADVISORY  READ -1 fe:00:10133585 2305843013438520072 2305843013438520072",
		entry{mechanism: oslock.OFD, mode: oslock.Shared, file: FileID{254, 0, 10133585}, start: 2305843013438520072, end: 2305843013438520072}},
	{"69: POSIX  ADVISORY  WRITE 26235 fe:00:10005138 0 0",
		entry{mechanism: oslock.POSIX, mode: oslock.Exclusive, pid: 26235, file: FileID{254, 0, 10005138}}},
	{"3: POSIX  ADVISORY  READ 855 103:00002:18446744073709551615 1073741826 1073742335", // an nvme disk, the last inode
		entry{mechanism: oslock.POSIX, mode: oslock.Shared, pid: 855, file: FileID{0x103, 2, math.MaxUint64}, start: 1073741826, end: 1073742335}},
	{"4: POSIX  MANDATORY WRITE 1 08:02:5 0 EOF", // before Linux 5.15
		entry{mechanism: oslock.POSIX, mode: oslock.Exclusive, pid: 1, file: FileID{8, 2, 5}, end: math.MaxInt64}},
	{"5: FLOCK  MSNFS     RW    99 08:02:5 0 EOF", // of the flocks that Linux once had for Samba
		entry{mechanism: oslock.Flock, pid: 99, file: FileID{8, 2, 5}, end: math.MaxInt64}},
	{"6: FLOCK  ADVISORY  WRITE 0 08:02:5 0 EOF", // in fdinfo, of a process that has no number here
		entry{mechanism: oslock.Flock, mode: oslock.Exclusive, file: FileID{8, 2, 5}, end: math.MaxInt64}},
	{"6: POSIX  ADVISORY  WRITE -2147483648 08:02:5 0 EOF", // of another machine, over NFS
		entry{mechanism: oslock.POSIX, mode: oslock.Exclusive, file: FileID{8, 2, 5}, end: math.MaxInt64}},

	{line: "2: LEASE  ACTIVE    READ 17 08:02:5 0 EOF"},
	{line: "2: DELEG  BREAKING  WRITE 17 08:02:5 0 EOF"},
	{line: "2: ACCESS *NOINODE* WRITE 17 <none>:0 0 EOF"},
	{line: "2: POSIX  *NOINODE* WRITE 17 <none>:0 0 EOF"},
	{line: "2: UNKNOWN UNKNOWN  READ 17 08:02:5 0 EOF"},
	{line: ""},
	{line: " \t "},
	{line: "2:"},
	{line: "2: ->"},
	{line: "FLOCK ADVISORY WRITE 4242 08:02:123456 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE 4242 08:02:123456 0"},
	{line: "2: FLOCK  ADVISORY  WRITE 4242 08:02 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE 4242 08:02:12345x 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE 4242 08:0g:123456 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE 4242 08:02:123456:1 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE pid 08:02:123456 0 EOF"},
	{line: "2: FLOCK  ADVISORY  WRITE 99999999999 08:02:123456 0 EOF"},
	{line: "2: POSIX  ADVISORY  WRITE 1 08:02:123456 5 4"},
	{line: "2: POSIX  ADVISORY  WRITE 1 08:02:123456 -5 4"},
	{line: "2: POSIX  ADVISORY  WRITE 1 08:02:123456 EOF EOF"},
	{line: "2: POSIX  ADVISORY  WRITE 1 08:02:99999999999999999999 0 EOF"},
}

func TestEntries(t *testing.T) {
	var table strings.Builder
	var want []entry
	for _, l := range lines {
		for _, ending := range []string{"", "\n"} {
			got, ok := parseEntry([]byte(l.line + ending))
			if ok != (l.want != entry{}) || ok && got != l.want {
				t.Errorf("%q: %+v, %t; want %+v", l.line, got, ok, l.want)
			}
		}
		table.WriteString(l.line + "\n")
		if l.want != (entry{}) {
			want = append(want, l.want)
		}
	}
	if got := slices.Collect(entries([]byte(table.String()))); !slices.Equal(got, want) {
		t.Errorf("the whole table: %+v; want %+v", got, want)
	}
}

func TestTickets(t *testing.T) {
	for line, want := range map[string]bool{
		"1: OFDLCK ADVISORY  READ -1 fe:00:7 2305843009213693952 2305843009213693952":  true,
		"1: OFDLCK ADVISORY  WRITE -1 fe:00:7 2305843009213694099 2305843009213694099": true, // of a file open for writing only
		"1: OFDLCK ADVISORY  READ -1 fe:00:7 2305843009213693951 2305843009213693951":  false,
		"1: OFDLCK ADVISORY  READ -1 fe:00:7 2305843009213693952 2305843009213693953":  false,
		"1: OFDLCK ADVISORY  READ -1 fe:00:7 2305843009213693952 EOF":                  false,
		"1: POSIX  ADVISORY  READ 12 fe:00:7 2305843009213693952 2305843009213693952":  false,
	} {
		e, ok := parseEntry([]byte(line))
		if !ok || e.ticket() != want {
			t.Errorf("%q: %t", line, e.ticket())
		}
		if l := e.lock(); l.Waiting != want || want && (l.Mechanism != oslock.Flock || l.Mode != 0 || l.Start != 0 || l.Length != 0) {
			t.Errorf("%q: %+v", line, l)
		}
	}
}

func TestInfo(t *testing.T) {
	const content = "pos:\t0\nflags:\t0100002\nmnt_id:\t27\nino:\t10005106\n" +
		"lock:\t1: FLOCK  ADVISORY  WRITE 26235 fe:00:10005106 0 EOF\n" +
		"lock:\t2: LEASE  ACTIVE    READ 26235 fe:00:10005106 0 EOF\n" +
		"lock:\t3: OFDLCK ADVISORY  READ -1 fe:00:10005106 100 199\n" +
		"something:\tnew\n"
	i := parseInfo([]byte(content))
	file := FileID{254, 0, 10005106}
	want := []entry{
		{mechanism: oslock.Flock, mode: oslock.Exclusive, pid: 26235, file: file, end: math.MaxInt64},
		{mechanism: oslock.OFD, mode: oslock.Shared, file: file, start: 100, end: 199},
	}
	if i.mount != 27 || i.inode != file.Inode || !slices.Equal(i.locks, want) {
		t.Errorf("got %+v", i)
	}
	// As before Linux 5.14; and of a descriptor that is no file's.
	for _, content := range []string{"pos:\t0\nflags:\t0100002\nmnt_id:\t27\n", "pos:\t0\neventfd-count: 0\nmnt_id:\t27\nino: x\nlock:\n"} {
		if i := parseInfo([]byte(content)); i.mount != 27 || i.inode != 0 || i.locks != nil {
			t.Errorf("%q: %+v", content, i)
		}
	}
}

func TestMountDevice(t *testing.T) {
	const mounts = "22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
		"2 1 0:99 / /2 rw shared:27 - tmpfs none rw\n" +
		"27 1 259:4097 / / rw,relatime - ext4 /dev/vda rw,discard\n" +
		"28 x\n" +
		"68 63 0:41 / /tmp/m\\040m rw,relatime - overlay overlay rw,lowerdir=a\n"
	for mount, want := range map[int]string{22: "0:21", 27: "259:4097", 68: "0:41", 2: "0:99", 28: "", 7: "", 0: ""} {
		got := ""
		if major, minor, ok := parseMountDevice([]byte(mounts), mount); ok {
			got = fmt.Sprintf("%d:%d", major, minor)
		}
		if got != want {
			t.Errorf("mount %d: %q, want %q", mount, got, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	for stat, want := range map[string]origin{
		"1 (init) S 0 1 1 0 -1 4194560 6541 1 99 2 12 151 1 2 20 0 1 0 33 22941696 2999 18446744073709551615 1 1 0": {0, 33},
		"9 (a ) b) R 12 1 1 0 -1 4194560 6541 1 99 2 12 151 1 2 20 0 1 0 77 22941696\n":                             {12, 77}, // names are free
		"9 (a) R 3 1": {parent: 3},
		"":            {},
	} {
		if got := parseOrigin([]byte(stat)); got != want {
			t.Errorf("%q: %v, want %v", stat, got, want)
		}
	}
}

func TestBlocked(t *testing.T) {
	for syscall, want := range map[string]int{
		"72 0x6 0x26 0xc000014080 0x0 0x0 0x0 0x7ffd 0x40\n": 6,
		"221 0x0 0x26 0xbeef 0x0 0x0 0x0 0x7ffd 0x40\n":      0, // a 32-bit system
		"72 0x6 0x25 0xc000014080 0x0 0x0 0x0 0x7ffd 0x40\n": -1,
		"202 0xffffffffffffff9c 0x26 0x0 0x0\n":              -1,
		"running\n":                                          -1,
		"-1 0x7ffd 0x40\n":                                   -1,
		"":                                                   -1,
	} {
		got, ok := parseBlocked([]byte(syscall), 38)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", syscall, got, want)
		}
	}
}

// FuzzProcLocks: whatever the table is, nothing breaks, and what is taken for a lock
// is one that the kernel can print, and is taken for the same when it does.
func FuzzProcLocks(f *testing.F) {
	for _, l := range lines {
		f.Add([]byte(l.line + "\n" + lines[0].line + "\n"))
	}
	f.Fuzz(func(t *testing.T, table []byte) {
		for e := range entries(table) {
			if again, ok := parseEntry([]byte(printed(e))); !ok || again != e {
				t.Errorf("%+v, printed %q, is %+v", e, printed(e), again)
			}
			if l := e.lock(); l.Length < 0 || l.Start < 0 || l.PID < 0 {
				t.Errorf("%+v is %+v", e, l)
			}
		}
	})
}

// FuzzFdinfo: the same for what a descriptor's file says.
func FuzzFdinfo(f *testing.F) {
	f.Add([]byte("pos:\t0\nflags:\t0100002\nmnt_id:\t27\nino:\t5\nlock:\t1: FLOCK  ADVISORY  WRITE 26235 fe:00:5 0 EOF\n"))
	f.Add([]byte("pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t2\ninotify wd:1 ino:5 sdev:fe00000 mask:18 ignored_mask:0\n"))
	f.Add([]byte("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"))
	f.Add([]byte("72 0x6 0x26 0xc000014080\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, e := range parseInfo(content).locks {
			if again, ok := parseEntry([]byte(printed(e))); !ok || again != e {
				t.Errorf("%+v, printed %q, is %+v", e, printed(e), again)
			}
		}
		parseMountDevice(content, 27)
		parseOrigin(content)
		if fd, ok := parseBlocked(content, 38); ok && fd < 0 {
			t.Errorf("descriptor %d", fd)
		}
	})
}

// printed is how the kernel prints an entry.
func printed(e entry) string {
	class := map[oslock.Mechanism]string{oslock.Flock: "FLOCK ", oslock.OFD: "OFDLCK", oslock.POSIX: "POSIX "}[e.mechanism]
	mode := map[oslock.Mode]string{oslock.Shared: "READ ", oslock.Exclusive: "WRITE", 0: "RW   "}[e.mode]
	arrow, end := "", "EOF"
	if e.waiting {
		arrow = "-> "
	}
	if e.end != math.MaxInt64 {
		end = fmt.Sprint(e.end)
	}
	return fmt.Sprintf("1: %s%s ADVISORY  %s %d %02x:%02x:%d %d %s\n", arrow, class, mode, e.pid, e.file.Major, e.file.Minor, e.file.Inode, e.start, end)
}
