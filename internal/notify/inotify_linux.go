package notify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// events are those of a lock that may be free: every close, also the one that
// the kernel does for a killed holder, and an unlink, which for a file that is
// still open shows as a changed link count (IN_ATTRIB); see inotify(7).
const events = unix.IN_CLOSE | unix.IN_ATTRIB | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF

// Watch is one waiter's interest in one open file.
type Watch struct {
	hints chan struct{}
	wd    int32
}

// hub is the one inotify instance of this process. It is opened by the first
// watch and kept, since the kernel's tear-down of an instance waits for a grace
// period of many milliseconds; its reader runs only while there are watches.
type hub struct {
	life   sync.Mutex // guards file, fd and reader; taken before table
	file   *os.File   // nil until the first watch
	fd     int
	reader chan struct{} // closed when the running reader has ended; nil when none runs

	table   sync.Mutex // guards watches; all that the reader takes
	watches map[int32]map[*Watch]struct{}
}

var process = hub{watches: map[int32]map[*Watch]struct{}{}}

// New starts to watch f. The watch follows the open file, not its name.
// It fails when the system has no inotify instance or watch left, when /proc is
// not mounted, or when this user may not read f.
func New(f *os.File) (*Watch, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &Watch{hints: make(chan struct{}, 1)}
	var addErr error
	err = conn.Control(func(fd uintptr) { addErr = process.add(w, fmt.Sprintf("/proc/self/fd/%d", fd)) })
	if err = errors.Join(err, addErr); err != nil {
		return nil, fmt.Errorf("watch %s: %w", f.Name(), err)
	}
	return w, nil
}

// Hints receives when the file may have become free. Hints that nobody has
// received yet count as one.
func (w *Watch) Hints() <-chan struct{} { return w.hints }

// Close ends the watch. The last one waits for the end of the reader.
func (w *Watch) Close() { process.remove(w) }

func (h *hub) add(w *Watch, path string) error {
	h.life.Lock()
	defer h.life.Unlock()
	if h.file == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return os.NewSyscallError("inotify_init1", err)
		}
		h.file, h.fd = os.NewFile(uintptr(fd), "inotify"), fd
	}
	if h.reader == nil {
		if err := h.file.SetReadDeadline(time.Time{}); err != nil {
			return err // not in the runtime's poller, so that a reader could never be ended
		}
	}
	if err := h.enter(w, path); err != nil {
		return err
	}
	if h.reader == nil {
		h.reader = make(chan struct{})
		go h.read(h.reader)
	}
	return nil
}

// enter has the table locked over the system call: inodes that are watched
// already answer with the wd they have, which a leaving waiter might remove.
func (h *hub) enter(w *Watch, path string) error {
	h.table.Lock()
	defer h.table.Unlock()
	wd, err := unix.InotifyAddWatch(h.fd, path, events)
	if err != nil {
		return os.NewSyscallError("inotify_add_watch", err)
	}
	w.wd = int32(wd)
	if h.watches[w.wd] == nil {
		h.watches[w.wd] = map[*Watch]struct{}{}
	}
	h.watches[w.wd][w] = struct{}{}
	return nil
}

func (h *hub) remove(w *Watch) {
	h.life.Lock()
	defer h.life.Unlock()
	if !h.leave(w) || h.reader == nil {
		return
	}
	_ = h.file.SetReadDeadline(time.Unix(1, 0)) // a reader was started, so this works
	<-h.reader
	h.reader = nil
}

// leave reports whether w was the last watch.
func (h *hub) leave(w *Watch) bool {
	h.table.Lock()
	defer h.table.Unlock()
	delete(h.watches[w.wd], w)
	if len(h.watches[w.wd]) == 0 {
		delete(h.watches, w.wd)
		// EINVAL when the inode is gone: the kernel has then removed the watch itself.
		_, _ = unix.InotifyRmWatch(h.fd, uint32(w.wd))
	}
	return len(h.watches) == 0
}

// read hands out events until the last watch has gone.
func (h *hub) read(ended chan<- struct{}) {
	defer close(ended)
	buf := make([]byte, 4096)
	for {
		n, err := h.file.Read(buf)
		if err != nil {
			// The deadline that remove sets. Nothing else can end a read here, and
			// if it did, the waiters' timers would keep them correct.
			return
		}
		h.dispatch(buf[:n])
	}
}

func (h *hub) dispatch(buf []byte) {
	h.table.Lock()
	defer h.table.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		name := binary.NativeEndian.Uint32(buf[12:]) // length of the name that follows
		buf = buf[min(len(buf), unix.SizeofInotifyEvent+int(name)):]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0: // events were lost: everybody looks
			for _, watches := range h.watches {
				hint(watches)
			}
		case name == 0: // with a name it is about an entry of a locked directory
			hint(h.watches[wd])
		}
	}
}

func hint(watches map[*Watch]struct{}) {
	for w := range watches {
		select {
		case w.hints <- struct{}{}:
		default:
		}
	}
}
