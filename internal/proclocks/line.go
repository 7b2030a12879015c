package proclocks

import (
	"bytes"
	"iter"
	"math"
	"strconv"

	"github.com/portalocker/portalocker/internal/oslock"
)

// entry is one line of /proc/locks, which proc_locks(5) describes, or a lock in a
// descriptor's fdinfo. Two that are equal may be two locks.
type entry struct {
	mechanism  oslock.Mechanism
	mode       oslock.Mode // 0 for the kinds that flock(2) had for Samba
	waiting    bool
	pid        int // 0 if none is told; it may be of a process that has ended
	file       FileID
	start, end int64 // end is math.MaxInt64 for the end of the file
}

// ticket says that the lock is one byte where this project's tickets are.
func (e *entry) ticket() bool {
	return e.mechanism == oslock.OFD && e.start >= FirstTicket && e.end == e.start
}

var classes = map[string]oslock.Mechanism{"FLOCK": oslock.Flock, "OFDLCK": oslock.OFD, "POSIX": oslock.POSIX}

// entries are the locks of a table, without leases and what else is no lock.
func entries(table []byte) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for line := range bytes.Lines(table) {
			if e, ok := parseEntry(line); ok && !yield(e) {
				return
			}
		}
	}
}

// parseEntry reads a line like these, where "->" is somebody who waits in the
// kernel for the lock of that number:
//
//	1: FLOCK  ADVISORY  WRITE 4242 08:02:123456 0 EOF
//	1: -> FLOCK  ADVISORY  WRITE 4243 08:02:123456 0 EOF
//	2: OFDLCK ADVISORY  READ -1 08:02:123457 100 199
func parseEntry(line []byte) (e entry, ok bool) {
	number, line := word(line)
	if !bytes.HasSuffix(number, []byte(":")) {
		return entry{}, false
	}
	class, line := word(line)
	if string(class) == "->" {
		e.waiting = true
		class, line = word(line)
	}
	if e.mechanism, ok = classes[string(class)]; !ok {
		return entry{}, false
	}
	_, line = word(line) // ADVISORY, or MANDATORY before Linux 5.15
	mode, line := word(line)
	switch string(mode) {
	case "READ":
		e.mode = oslock.Shared
	case "WRITE":
		e.mode = oslock.Exclusive
	}
	pid, line := word(line)
	file, line := word(line)
	start, line := word(line)
	end, _ := word(line)

	owner, err := strconv.ParseInt(string(pid), 10, 32)
	if err != nil {
		return entry{}, false
	}
	e.pid = int(max(owner, 0)) // -1: OFD locks belong to no process; others: to one of another machine
	if e.file, ok = parseFile(file); !ok {
		return entry{}, false
	}
	if e.start, err = strconv.ParseInt(string(start), 10, 64); err != nil {
		return entry{}, false
	}
	if string(end) == "EOF" {
		e.end = math.MaxInt64
	} else if e.end, err = strconv.ParseInt(string(end), 10, 64); err != nil {
		return entry{}, false
	}
	return e, 0 <= e.start && e.start <= e.end
}

// parseFile reads 08:02:123456, of which only the inode is decimal.
func parseFile(s []byte) (id FileID, ok bool) {
	major, rest, _ := bytes.Cut(s, []byte(":"))
	minor, inode, _ := bytes.Cut(rest, []byte(":"))
	a, err1 := strconv.ParseUint(string(major), 16, 32)
	b, err2 := strconv.ParseUint(string(minor), 16, 32)
	c, err3 := strconv.ParseUint(string(inode), 10, 64)
	return FileID{uint32(a), uint32(b), c}, err1 == nil && err2 == nil && err3 == nil
}

// info is what /proc/PID/fdinfo/FD tells of a descriptor; see proc_pid_fdinfo(5).
type info struct {
	mount int    // the number in mountinfo; 0, which no mount has, if not told
	inode uint64 // as the table of locks has it; 0 before Linux 5.14
	locks []entry
}

func parseInfo(content []byte) (i info) {
	for line := range bytes.Lines(content) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "mnt_id":
			i.mount, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		case "ino":
			i.inode, _ = strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
		case "lock":
			if e, ok := parseEntry(value); ok {
				i.locks = append(i.locks, e)
			}
		}
	}
	return i
}

// parseMountDevice finds the device of a mount's filesystem in a mountinfo file,
// where it is the third word of the mount's line; see proc_pid_mountinfo(5).
func parseMountDevice(mountinfo []byte, mount int) (major, minor uint32, ok bool) {
	for line := range bytes.Lines(mountinfo) {
		id, line := word(line)
		if n, err := strconv.Atoi(string(id)); err != nil || n != mount {
			continue
		}
		_, line = word(line)
		device, _ := word(line)
		first, second, _ := bytes.Cut(device, []byte(":"))
		a, err1 := strconv.ParseUint(string(first), 10, 32)
		b, err2 := strconv.ParseUint(string(second), 10, 32)
		return uint32(a), uint32(b), err1 == nil && err2 == nil
	}
	return 0, 0, false
}

// origin is where a process comes from.
type origin struct {
	parent int
	start  uint64 // in ticks of the clock since the machine started
}

// parseOrigin reads a process's stat file: the second and the twentieth word after the
// name in parentheses; see proc_pid_stat(5).
func parseOrigin(stat []byte) (o origin) {
	line := stat[bytes.LastIndexByte(stat, ')')+1:]
	var field []byte
	for i := range 20 {
		field, line = word(line)
		if i == 1 {
			o.parent, _ = strconv.Atoi(string(field))
		}
	}
	o.start, _ = strconv.ParseUint(string(field), 10, 64)
	return o
}

// parseBlocked reads the syscall file of a thread: the number of the call that it
// sleeps in, and its arguments; see proc_pid_syscall(5). It gives the descriptor if
// that call is fcntl with the command. The number of fcntl differs between
// architectures and is not looked at: no other call that sleeps has a descriptor
// before so small a number.
func parseBlocked(syscall []byte, command uint64) (fd int, ok bool) {
	_, line := word(syscall)
	first, line := word(line)
	second, _ := word(line)
	n, err1 := strconv.ParseUint(string(first), 0, 31)
	c, err2 := strconv.ParseUint(string(second), 0, 64)
	return int(n), err1 == nil && err2 == nil && c == command
}

// word cuts the first word off a line.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t\n")
	if i := bytes.IndexAny(line, " \t\n"); i >= 0 {
		return line[:i], line[i:]
	}
	return line, nil
}
