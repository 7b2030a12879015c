package portalocker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// lists checks what Holders tells, but for the order of those that hold.
func lists(t *testing.T, path string, want ...string) {
	t.Helper()
	got, err := holdersOf(path)
	must(t, err)
	held := 0
	for held < len(got) && strings.HasPrefix(got[held], "holds") {
		held++
	}
	slices.Sort(got[:held])
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

// locked starts a process that has these locks.
func locked(t *testing.T, specs ...string) (p *testproc.Process, pid int) {
	t.Helper()
	p = testproc.Start(t, "locks", specs...)
	p.Expect("ok")
	return p, p.Cmd.Process.Pid
}

// blocked waits until n locks of the file are waited for in the kernel.
func blocked(t *testing.T, path string, n int) {
	t.Helper()
	inode := fmt.Sprintf(":%d ", inodeOf(t, path))
	testproc.Await(t, fmt.Sprintf("%d wait for %s", n, path), func() bool {
		table, err := os.ReadFile("/proc/locks")
		must(t, err)
		waits := 0
		for line := range strings.Lines(string(table)) {
			if strings.Contains(line, "->") && strings.Contains(line, inode) {
				waits++
			}
		}
		return waits == n
	})
}

// emptyFile makes a file in a folder of the test's own.
func emptyFile(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, nil, 0o666))
	return path
}

// TestHoldersFlock: by flock, as this package has it by default.
func TestHoldersFlock(t *testing.T) {
	t.Run("nobody", func(t *testing.T) { lists(t, emptyFile(t, "x")) })
	t.Run("this process", func(t *testing.T) {
		path := emptyFile(t, "x")
		l := portalocker.New(path)
		_, err := l.Acquire(t.Context())
		must(t, err)
		lists(t, path, fmt.Sprintf("holds %d flock exclusive", os.Getpid()))
		must(t, l.Release())
		lists(t, path)
	})
	t.Run("exclusive", func(t *testing.T) {
		path := emptyFile(t, "x")
		_, a := locked(t, "flock exclusive 0 0 "+path)
		_, b := locked(t, "wait flock shared 0 0 "+path)
		blocked(t, path, 1)
		_, c := locked(t, "wait flock exclusive 0 0 "+path)
		blocked(t, path, 2)
		lists(t, path, fmt.Sprintf("holds %d flock exclusive", a), fmt.Sprintf("waits %d flock shared", b), fmt.Sprintf("waits %d flock exclusive", c))
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(path, link))
		lists(t, link, fmt.Sprintf("holds %d flock exclusive", a), fmt.Sprintf("waits %d flock shared", b), fmt.Sprintf("waits %d flock exclusive", c))
	})
	t.Run("shared", func(t *testing.T) {
		path := emptyFile(t, "x")
		want := make([]string, 3)
		for i := range want {
			_, pid := locked(t, "flock shared 0 0 "+path)
			want[i] = fmt.Sprintf("holds %d flock shared", pid)
		}
		slices.Sort(want)
		lists(t, path, want...)
	})
	t.Run("one process twice", func(t *testing.T) {
		path := emptyFile(t, "x")
		_, pid := locked(t, "flock shared 0 0 "+path, "flock shared 0 0 "+path, "ofd shared 0 0 "+path)
		lists(t, path, fmt.Sprintf("holds %d flock shared", pid), fmt.Sprintf("holds %d flock shared", pid), fmt.Sprintf("holds %d ofd shared", pid))
	})
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		must(t, os.WriteFile(path, nil, 0o666))
		_, a := locked(t, "flock exclusive 0 0 "+dir, "flock shared 0 0 "+path)
		lists(t, dir, fmt.Sprintf("holds %d flock exclusive", a)) // not of what is in it
	})
}

// TestHoldersFcntl: the two kinds of fcntl(2), with parts of a file.
func TestHoldersFcntl(t *testing.T) {
	t.Run("ofd", func(t *testing.T) {
		path := emptyFile(t, "x")
		_, a := locked(t, "ofd shared 100 50 "+path)
		_, b := locked(t, "wait ofd exclusive 0 0 "+path)
		blocked(t, path, 1)
		waiter := fmt.Sprintf("waits %d ofd exclusive", b)
		if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", b)); err != nil {
			t.Logf("this system does not let see who waits for an OFD lock: %v", err)
			waiter = "waits 0 ofd exclusive"
		}
		lists(t, path, fmt.Sprintf("holds %d ofd shared 100 50", a), waiter)
	})
	t.Run("posix", func(t *testing.T) {
		path := emptyFile(t, "x")
		_, a := locked(t, "posix exclusive 10 5 "+path, "posix shared 100 0 "+path)
		_, b := locked(t, "wait posix exclusive 14 1 "+path)
		blocked(t, path, 1)
		lists(t, path, fmt.Sprintf("holds %d posix exclusive 10 5", a), fmt.Sprintf("holds %d posix shared 100 0", a), fmt.Sprintf("waits %d posix exclusive 14 1", b))
	})
	t.Run("a lock that ends", func(t *testing.T) {
		path := emptyFile(t, "x")
		p, _ := locked(t, "flock exclusive 0 0 "+path, "posix exclusive 0 0 "+path, "ofd shared 5 5 "+emptyFile(t, "y"))
		p.Kill()
		lists(t, path)
	})
}

// TestHoldersTellsCommand: the name of the command is the holder's.
func TestHoldersTellsCommand(t *testing.T) {
	path := emptyFile(t, "x")
	_, pid := locked(t, "flock exclusive 0 0 "+path)
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	must(t, err)
	holders, err := portalocker.Holders(path)
	must(t, err)
	if len(holders) != 1 || holders[0].Command == "" || holders[0].Command+"\n" != string(comm) {
		t.Errorf("got %+v, want the command %q", holders, comm)
	}
}

// TestHoldersTellsTickets: processes that wait with this package are told in the
// order in which they came, with the time of that.
func TestHoldersTellsTickets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	h := holder(t, "lock", path)
	const n = 4
	var pids []int
	var times []time.Time // before each came, and after the last
	for i := range n {
		p := testproc.Start(t, "hold", "lock", path, "events")
		times = append(times, time.Now())
		p.Say("wait")
		p.Expect("waiting")
		queued(t, path, i+1)
		pids = append(pids, p.Cmd.Process.Pid)
	}
	times = append(times, time.Now())
	holders, err := portalocker.Holders(path)
	must(t, err)
	if len(holders) != 1+n {
		t.Fatalf("got %+v, want a holder and %d waiters", holders, n)
	}
	if first := holders[0]; first.PID != h.Cmd.Process.Pid || first.Waiting || first.Mode != portalocker.Exclusive || !first.Since.IsZero() {
		t.Errorf("the first is %+v, not the holder %d", first, h.Cmd.Process.Pid)
	}
	// Two clocks cannot be read at the same moment, so times are off by as long as the
	// scheduler lets a process wait.
	const slack = time.Second
	for i, w := range holders[1:] {
		if w.PID != pids[i] || !w.Waiting || w.Mechanism != portalocker.Flock || w.Mode != 0 || w.Start != 0 || w.Length != 0 {
			t.Errorf("waiter %d, process %d, is told as %+v", i, pids[i], w)
		}
		if w.Since.Before(times[i].Add(-slack)) || w.Since.After(times[i+1].Add(slack)) {
			t.Errorf("waiter %d came between %v and %v, not at %v", i, times[i], times[i+1], w.Since)
		}
	}
	h.Say("release")
	h.Expect("ok")
	testproc.Await(t, "one of the waiters holds, and waits no more", func() bool {
		holders, err := portalocker.Holders(path)
		must(t, err)
		left := slices.Clone(pids)
		for _, h := range holders {
			left = slices.DeleteFunc(left, func(pid int) bool { return pid == h.PID })
		}
		return len(holders) == n && !holders[0].Waiting && len(left) == 0
	})
}

// TestHoldersErrors: a path that cannot be looked at is named; no file is made.
func TestHoldersErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o666))
	for path, want := range map[string]error{
		filepath.Join(dir, "missing"):      fs.ErrNotExist,
		filepath.Join(dir, "no", "folder"): fs.ErrNotExist,
		filepath.Join(file, "x"):           syscall.ENOTDIR,
	} {
		holders, err := portalocker.Holders(path)
		var e *fs.PathError
		if holders != nil || !errors.As(err, &e) || e.Path != path || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", path, holders, err)
		}
	}
	if _, err := portalocker.Holders(""); !errors.Is(err, portalocker.ErrLock) {
		t.Errorf("no path: %v", err)
	}
	before := openFiles(t)
	if _, err := portalocker.Holders(filepath.Join(dir, "missing")); err == nil {
		t.Error("no error")
	}
	lists(t, file)
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, and were %d", after, before)
	}
	unreadable := emptyFile(t, "unreadable")
	must(t, os.Chmod(unreadable, 0))
	lists(t, unreadable)
	fifo := filepath.Join(dir, "fifo")
	must(t, syscall.Mkfifo(fifo, 0o666))
	lists(t, fifo)                            // does not wait for the other end
	_, err := portalocker.Holders(os.DevNull) // whoever may have locked it
	must(t, err)
}

// TestHoldersWhileAllChanges: processes come and go, and locks with them, while
// Holders looks. It never fails, and never tells of two that hold an exclusive lock.
func TestHoldersWhileAllChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	must(t, os.WriteFile(path, nil, 0o666))
	known := map[int]bool{0: true, os.Getpid(): true}
	const n = 4
	greedy := make([]*testproc.Process, n)
	for i := range greedy {
		greedy[i] = testproc.Start(t, "greedy", path)
		known[greedy[i].Cmd.Process.Pid] = true
	}
	held, waiting := 0, 0
	for i := range 100 {
		if i%10 == 9 {
			victim := i / 10 % n
			greedy[victim].Kill()
			greedy[victim] = testproc.Start(t, "greedy", path)
			known[greedy[victim].Cmd.Process.Pid] = true
		}
		holders, err := portalocker.Holders(path)
		must(t, err)
		exclusive := 0
		for _, h := range holders {
			if !known[h.PID] {
				t.Errorf("who is process %d? %+v", h.PID, h)
			}
			if h.Waiting {
				waiting++
			} else {
				exclusive++
			}
		}
		held += exclusive
		if exclusive > 1 {
			t.Errorf("%d have the lock: %+v", exclusive, holders)
		}
	}
	t.Logf("of 100 times, the lock was held in %d, and there were %d waiters altogether", held, waiting)
	if held == 0 || waiting == 0 {
		t.Error("nobody held the lock, or nobody waited: the test shows nothing")
	}
}
