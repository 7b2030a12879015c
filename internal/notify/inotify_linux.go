package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// events are those of a lock that may be free: every close, also the one that
// the kernel does for a killed holder, and an unlink, which for a file that is
// still open shows as a changed link count (IN_ATTRIB); see inotify(7).
const events = unix.IN_CLOSE | unix.IN_ATTRIB | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF

// Watch is one waiter's interest in one file or several.
type Watch struct {
	hints chan struct{} // receives when there is something in fired
	lead  chan struct{} // receives when this watch has been made the leader

	// Guarded by the hub.
	files     map[int32]int // the watch descriptors, and which file each stands for
	fired     map[int]bool  // the files that hints came for, until Fired is called
	following bool
}

// hub is the one inotify instance of this process. It is opened by the first
// watch and kept, since the kernel's tear-down of an instance waits for a grace
// period of many milliseconds.
//
// There is no goroutine that reads: of the watches that wait, one is the leader,
// and reads for all. When it has been hinted itself, another leads. The leader
// waits in ppoll(2) and not in the runtime's poller, and so parks a thread, one for
// the process: the event wakes the very thread that acts on it, without a detour
// by the scheduler that takes as long as the wake-up itself.
type hub struct {
	mu      sync.Mutex
	fd      int // of inotify; 0 until the first watch
	poke    int // an eventfd that gets the leader out of its ppoll
	create  func() (fd, poke int, err error)
	refused error     // why there is none; nil before the first try
	asked   time.Time // when the last try began
	watches map[int32]map[*Watch]struct{}
	leader  *Watch // nil while nobody waits
}

var process = hub{create: newInstance, watches: map[int32]map[*Watch]struct{}{}}

// New starts to watch f. The watch follows the open file, not its name.
// It fails when the system has no inotify instance or watch left, when /proc is
// not mounted, or when this user may not read f.
func New(f *os.File) (*Watch, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var w *Watch
	var addErr error
	err = conn.Control(func(fd uintptr) { w, addErr = process.add([]string{fmt.Sprintf("/proc/self/fd/%d", fd)}, 0) })
	if err = errors.Join(err, addErr); err != nil {
		return nil, fmt.Errorf("watch %s: %w", f.Name(), err)
	}
	return w, nil
}

// NewPaths starts to watch the files that the paths name now, which may be no
// symlinks.
func NewPaths(paths []string) (*Watch, error) { return process.add(paths, unix.IN_DONT_FOLLOW) }

// Wait waits for a hint that a file may have become free, for the time (zero for
// never) or for the end of ctx, and reports whether there is a hint. Hints since
// the last Wait count. One goroutine at a time may wait.
func (w *Watch) Wait(ctx context.Context, until time.Time) (hinted bool) {
	for {
		if process.leads(w) {
			defer process.resign(w)
			return process.read(ctx, w, until)
		}
		// Others read. What they cannot do is to end this wait in time.
		var timer <-chan time.Time
		if !until.IsZero() {
			t := time.NewTimer(time.Until(until))
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-w.lead:
			continue
		case <-w.hints:
			hinted = true
		case <-timer:
		case <-ctx.Done():
		}
		process.resign(w)
		return hinted
	}
}

// Fired gives the files, by their place among those of NewPaths, that hints came
// for since the last call. All is true if there may have been more.
func (w *Watch) Fired() (files []int, all bool) {
	process.mu.Lock()
	defer process.mu.Unlock()
	for i := range w.fired {
		files = append(files, i)
	}
	clear(w.fired)
	return files, slices.Contains(files, everyFile)
}

// Close ends the watch.
func (w *Watch) Close() {
	process.mu.Lock()
	defer process.mu.Unlock()
	process.forget(w)
}

func (h *hub) add(paths []string, flags uint32) (*Watch, error) {
	w := &Watch{hints: make(chan struct{}, 1), lead: make(chan struct{}, 1), files: map[int32]int{}, fired: map[int]bool{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fd == 0 {
		if err := h.open(); err != nil {
			return nil, err
		}
	}
	for i, path := range paths {
		// The same inode has the same descriptor for the whole instance.
		wd, err := unix.InotifyAddWatch(h.fd, path, events|flags)
		if err != nil {
			h.forget(w)
			return nil, os.NewSyscallError("inotify_add_watch", err)
		}
		w.files[int32(wd)] = i
		if h.watches[int32(wd)] == nil {
			h.watches[int32(wd)] = map[*Watch]struct{}{}
		}
		h.watches[int32(wd)][w] = struct{}{}
	}
	return w, nil
}

// askAgain is how long an instance that was refused is not asked for once more. To be
// refused takes as long as a tear-down, since the kernel limits what it has made
// already (do_inotify_init of Linux's fs/notify/inotify/inotify_user.c).
const askAgain = time.Second

// open gets the instance. The caller has h.mu. Once it was refused, nobody has to wait
// for a try but the one who makes it.
func (h *hub) open() error {
	var fd, poke int
	var err error
	if h.refused == nil {
		fd, poke, err = h.create()
	} else {
		if time.Since(h.asked) < askAgain {
			return h.refused
		}
		h.asked = time.Now()
		h.mu.Unlock()
		fd, poke, err = h.create()
		h.mu.Lock()
	}
	switch {
	case err == nil && h.fd != 0: // another one was quicker
		_, _ = unix.Close(fd), unix.Close(poke)
	case err == nil:
		h.fd, h.poke = fd, poke
	case h.fd == 0:
		h.refused, h.asked = err, time.Now()
		return err
	}
	return nil
}

func newInstance() (fd, poke int, err error) {
	if poke, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return 0, 0, os.NewSyscallError("eventfd", err)
	}
	if fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		_ = unix.Close(poke)
		return 0, 0, os.NewSyscallError("inotify_init1", err)
	}
	return fd, poke, nil
}

func (h *hub) forget(w *Watch) {
	for wd := range w.files {
		delete(h.watches[wd], w)
		if len(h.watches[wd]) == 0 {
			delete(h.watches, wd)
			// EINVAL when the inode is gone: the kernel has then removed the watch itself.
			_, _ = unix.InotifyRmWatch(h.fd, uint32(wd))
		}
	}
}

// leads makes w the leader if there is none, and else a follower.
func (h *hub) leads(w *Watch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leader == nil {
		h.leader = w
	}
	w.following = h.leader != w
	return !w.following
}

// resign ends w's wait. If it led, it makes a follower the leader, who may be about
// to end its own wait for another reason, and then resigns too.
func (h *hub) resign(w *Watch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.following = false
	if h.leader != w {
		return
	}
	h.leader = nil
	select {
	case <-w.lead: // it was made the leader and did not notice
	default:
	}
	for _, watches := range h.watches {
		for other := range watches {
			if other.following {
				h.leader = other
				other.lead <- struct{}{} // empty, or it would not be following
				return
			}
		}
	}
}

// read reads events for all watches, until w has been hinted, the time has come,
// or ctx has ended.
func (h *hub) read(ctx context.Context, w *Watch, until time.Time) (hinted bool) {
	// A poke may come when another leads already, which then looks once for nothing.
	stop := context.AfterFunc(ctx, func() { _, _ = unix.Write(h.poke, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	defer stop()
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}, {Fd: int32(h.poke), Events: unix.POLLIN}}
	var buf [4096]byte
	for {
		select {
		case <-w.hints:
			return true
		default:
		}
		var timeout *unix.Timespec
		if !until.IsZero() {
			left := time.Until(until)
			if left <= 0 {
				return false
			}
			ts := unix.NsecToTimespec(left.Nanoseconds())
			timeout = &ts
		}
		if ctx.Err() != nil {
			return false
		}
		n, err := unix.Ppoll(fds, timeout, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false // out of memory; the waiter's clock keeps it going
		}
		if n <= 0 {
			continue
		}
		if fds[1].Revents != 0 {
			_, _ = unix.Read(h.poke, buf[:8])
		}
		if n, err := unix.Read(h.fd, buf[:]); err == nil {
			h.dispatch(buf[:n])
		}
	}
}

func (h *hub) dispatch(buf []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		name := binary.NativeEndian.Uint32(buf[12:]) // length of the name that follows
		buf = buf[min(len(buf), unix.SizeofInotifyEvent+int(name)):]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0: // events were lost: everybody looks
			for _, watches := range h.watches {
				for w := range watches {
					w.hint(everyFile)
				}
			}
		case name == 0: // with a name it is about an entry of a locked directory
			for w := range h.watches[wd] {
				w.hint(w.files[wd])
			}
		}
	}
}

// everyFile stands for all files of a watch.
const everyFile = -1

func (w *Watch) hint(file int) {
	w.fired[file] = true
	select {
	case w.hints <- struct{}{}:
	default:
	}
}
