package proclocks

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// descriptor is an open descriptor of a process, on a file that was asked for.
type descriptor struct {
	pid, fd  int
	dev, ino uint64 // as stat tells them
	path     string // "" if it has none
	locks    []entry
}

// id names the file as the table of locks does, on most filesystems.
func (d *descriptor) id() FileID { return FileID{unix.Major(d.dev), unix.Minor(d.dev), d.ino} }

// sameFile tells files apart that the table of locks does not: see target.is.
func (d *descriptor) sameFile(other *descriptor) bool {
	return d.dev == other.dev && d.ino == other.ino
}

// processes are those that there were while they were looked at, one by one. Any of
// them may have ended, or have opened and closed files, in the meantime.
type processes struct {
	open []descriptor
	seen map[int]bool // the processes that let their descriptors be seen
}

// scan looks at the descriptors of all processes that it may look at. It wants those
// of the files that want picks.
func scan(want func(*unix.Stat_t) bool) processes {
	p := processes{seen: map[int]bool{}}
	pids, err := list(unix.AT_FDCWD, "/proc")
	if err != nil {
		return p // as if no process could be seen
	}
	var buffer []byte
	for _, name := range pids {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// The open folder stays that of this process, even if its number is used again.
		folder, err := open(unix.AT_FDCWD, "/proc/"+name+"/fd", unix.O_DIRECTORY)
		if err != nil {
			continue
		}
		p.seen[pid] = true
		fds, err := list(folder, ".")
		if err != nil {
			p.seen[pid] = false
		}
		for _, name := range fds {
			var st unix.Stat_t
			err := stat(folder, name, &st)
			if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				p.seen[pid] = false
				break
			}
			if err != nil || !want(&st) {
				continue
			}
			d := descriptor{pid: pid, dev: uint64(st.Dev), ino: st.Ino, path: readlink(folder, name)}
			d.fd, _ = strconv.Atoi(name) // there are only numbers here
			if content, err := read(folder, "../fdinfo/"+name, buffer[:0]); err == nil {
				d.locks = parseInfo(content).locks
				buffer = content
			}
			p.open = append(p.open, d)
		}
		_ = unix.Close(folder)
	}
	return p
}

// alive says that there is a process of that number, whoever's it is.
func alive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// originOf is a process's, zero if it has ended.
func originOf(pid int) origin {
	content, err := read(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/stat", nil)
	if err != nil {
		return origin{}
	}
	return parseOrigin(content)
}

// blockedOn are the descriptors on which threads of the process wait for an OFD
// lock, once for each thread.
func blockedOn(pid int) (fds []int) {
	folder := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := list(unix.AT_FDCWD, folder)
	if err != nil {
		return nil
	}
	for _, thread := range threads {
		content, err := read(unix.AT_FDCWD, folder+"/"+thread+"/syscall", nil)
		if err != nil {
			continue
		}
		if fd, ok := parseBlocked(content, unix.F_OFD_SETLKW); ok {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Command is a process's command name, "" if it has ended.
func Command(pid int) string {
	content, err := read(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/comm", nil)
	if err != nil || len(content) == 0 {
		return ""
	}
	return string(content[:len(content)-1]) // without the newline
}

// list gives the names in a folder. The functions from here on are as package os
// has them, without what that does for each file to wait for it.
func list(at int, path string) (names []string, err error) {
	folder, err := open(at, path, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(folder) }()
	var buffer [8192]byte
	for {
		n, err := retry(func() (int, error) { return unix.ReadDirent(folder, buffer[:]) })
		if n <= 0 || err != nil {
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// read appends all of a file of /proc to buffer.
func read(at int, path string, buffer []byte) ([]byte, error) {
	content, _, err := readPieces(at, path, buffer, 4096)
	return content, err
}

// readPieces is read, and says where the pieces end in which the kernel gave the content
// out. There is room for one of so many bytes at each time.
func readPieces(at int, path string, buffer []byte, room int) (content []byte, ends []int, err error) {
	fd, err := open(at, path, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		if cap(buffer)-len(buffer) < room {
			buffer = append(make([]byte, 0, 2*cap(buffer)+2*room), buffer...)
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, buffer[len(buffer):cap(buffer)]) })
		if n <= 0 || err != nil {
			return buffer, ends, err
		}
		buffer = buffer[:len(buffer)+n]
		ends = append(ends, len(buffer))
	}
}

func open(at int, path string, flags int) (int, error) {
	return retry(func() (int, error) { return unix.Openat(at, path, flags|unix.O_RDONLY|unix.O_CLOEXEC, 0) })
}

func stat(at int, path string, st *unix.Stat_t) error {
	_, err := retry(func() (int, error) { return 0, unix.Fstatat(at, path, st, 0) })
	return err
}

func readlink(at int, path string) string {
	var buffer [unix.PathMax]byte
	n, err := unix.Readlinkat(at, path, buffer[:])
	if err != nil || n == 0 || buffer[0] != '/' { // pipe:[1234] and its like have no name
		return ""
	}
	return string(buffer[:n])
}

func retry(f func() (int, error)) (int, error) {
	for {
		if n, err := f(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
