package portalocker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() {
	roles["slot"] = slotRole
	roles["reader"] = readerRole
}

// lockedBytes is how many bytes from the start of the file a lock is on.
const lockedBytes = 0xFFFF0000

// TestContention: of two processes one waits, and has the lock when the other
// releases it, ends or is killed. Nobody else has it in between.
func TestContention(t *testing.T) {
	for _, kind := range kinds {
		for end, free := range map[string]func(*testproc.Process){
			"release": func(p *testproc.Process) { p.Say("release"); p.Expect("ok") },
			"end":     func(p *testproc.Process) { _ = p.Wait() },
			"kill":    func(p *testproc.Process) { p.Kill() },
		} {
			t.Run(kind+" "+end, func(t *testing.T) {
				path := filepath.Join(testproc.Folder(t), "x")
				first := holder(t, kind, path)
				second := testproc.Start(t, "hold", kind, path)
				second.Say("try")
				second.Expect("locked")
				second.Say("wait")
				second.Expect("waiting")
				_, acquire := newLock(kind, path)
				err := acquire(t.Context(), portalocker.WithTimeout(20*time.Millisecond), portalocker.WithFailWhenLocked(false))
				mustBeLocked(t, err)
				mustSay(t, err, "gave up after ")
				free(first)
				second.Expect("ok")
				mustBeLocked(t, acquire(t.Context(), portalocker.WithTimeout(0)))
				second.Say("release")
				second.Expect("ok")
				isFree(t, kind, path)
			})
		}
	}
}

// TestKilledWaiter leaves nothing that is in the way of others.
func TestKilledWaiter(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := testproc.Folder(t)
			path := filepath.Join(dir, "x")
			l, acquire := newLock(kind, path)
			must(t, acquire(t.Context()))
			waiter := testproc.Start(t, "hold", kind, path)
			waiter.Say("wait")
			waiter.Expect("waiting")
			waiter.Kill()
			must(t, l.Release())
			isFree(t, kind, path)
			if kind == "temporary" || kind == "pid" {
				unchanged(t, dir, nil)
			}
		})
	}
}

// TestCancelledWait: LockFileEx itself is never waited in, so that a wait can end.
func TestCancelledWait(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	holder(t, "lock", path)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := portalocker.New(path, portalocker.WithTimeout(portalocker.Forever)).Acquire(ctx)
		got <- err
	}()
	cancel()
	if err := inTime(t, func() error { return <-got }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestLockedRange: the lock meets those of other programs that begin at the start
// of the file, however long they are, in both directions. Behind its end it meets
// none. Python portalocker locks by LockFileEx(handle, flags, 0, -0x10000), which is
// low and high, or by msvcrt.locking(fd, mode, 0x10000) at position 0.
func TestLockedRange(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	other := openFile(t, path)
	l := portalocker.New(path, portalocker.WithTimeout(0))
	for _, r := range []struct {
		name      string
		offset    uint32
		low, high uint32
		apart     bool
	}{
		{"Python by LockFileEx", 0, 0, 0xFFFF0000, false},
		{"Python by msvcrt", 0, 0x10000, 0, false},
		{"Python 2.0 by msvcrt", 0, 1<<31 - 1, 0, false},
		{"one byte", 0, 1, 0, false},
		{"the last byte", lockedBytes - 1, 1, 0, false},
		{"the byte behind", lockedBytes, 1, 0, true},
	} {
		handle := windows.Handle(other.Fd())
		lock := func() error {
			return windows.LockFileEx(handle, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
				0, r.low, r.high, &windows.Overlapped{Offset: r.offset})
		}
		unlock := func() {
			must(t, windows.UnlockFileEx(handle, 0, r.low, r.high, &windows.Overlapped{Offset: r.offset}))
		}
		_, err := l.Acquire(t.Context())
		must(t, err)
		switch err := lock(); {
		case r.apart && err == nil:
			unlock()
		case r.apart || !errors.Is(err, windows.ERROR_LOCK_VIOLATION):
			t.Errorf("%s, while the lock is held: %v", r.name, err)
		}
		must(t, l.Release())

		must(t, lock())
		_, err = l.Acquire(t.Context())
		if r.apart {
			must(t, err)
			must(t, l.Release())
		} else {
			mustBeLocked(t, err)
		}
		unlock()
	}
}

// TestLocksAreMandatory: who does not lock cannot write the locked range, nor, while
// the lock is exclusive, read it. The holder can, by the file that it was given.
func TestLocksAreMandatory(t *testing.T) {
	testproc.NotUnderWine(t, "8.0 reads and writes without a look at locks: ReadFile of a locked range succeeds there")
	path := filepath.Join(testproc.Folder(t), "x")
	must(t, os.WriteFile(path, []byte("content"), 0o666))
	other := openFile(t, path)
	for _, flags := range []portalocker.LockFlags{portalocker.Exclusive, portalocker.Shared} {
		l := portalocker.New(path, portalocker.WithMode("r+"), portalocker.WithFlags(flags))
		f, err := l.Acquire(t.Context())
		must(t, err)
		buffer := make([]byte, 4)
		_, err = f.ReadAt(buffer, 0)
		must(t, err)
		_, err = other.ReadAt(buffer, 0)
		if exclusive := flags == portalocker.Exclusive; errors.Is(err, windows.ERROR_LOCK_VIOLATION) != exclusive {
			t.Errorf("reading, while it is exclusive (%t): %v", exclusive, err)
		}
		if _, err := other.WriteAt(buffer, 0); !errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			t.Errorf("writing: %v", err)
		}
		if _, err := other.ReadAt(buffer, lockedBytes); !errors.Is(err, io.EOF) {
			t.Errorf("reading behind the locked range: %v", err)
		}
		must(t, l.Release())
		_, err = other.WriteAt([]byte("CONTENT"), 0)
		must(t, err)
	}
}

// TestOpenFileStays: the file of a lock can be neither removed nor renamed while it
// is held or waited for.
func TestOpenFileStays(t *testing.T) {
	for _, kind := range []string{"lock", "temporary"} {
		path := filepath.Join(testproc.Folder(t), "x")
		p := holder(t, kind, path)
		for name, do := range map[string]func() error{
			"remove": func() error { return os.Remove(path) },
			"rename": func() error { return os.Rename(path, path+".old") },
		} {
			if err := do(); !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
				t.Errorf("%s: %s while it is held: %v", kind, name, err)
			}
		}
		p.Say("release")
		p.Expect("ok")
		if _, err := os.Stat(path); (err == nil) != (kind == "lock") {
			t.Errorf("%s, after the release: %v", kind, err)
		}
	}
}

// TestPIDFileIsReadable, by anybody and in any way, while the lock is held: the lock
// is on the file beside it.
func TestPIDFileIsReadable(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.pid")
	p := holder(t, "pid", path)
	pid := strconv.Itoa(p.Cmd.Process.Pid)
	mustHold(t, path, pid)
	must(t, readerOf(t, path, pid).Wait())
	err := portalocker.NewPIDFileLock(path).Acquire(t.Context())
	mustBeLocked(t, err)
	mustSay(t, err, "by pid "+pid)
}

// TestPIDFileIsBeingRead: somebody who has the PID file open keeps it from being
// removed, and not the holder from releasing, nor the next one from acquiring once
// it is closed. What is left means nothing.
func TestPIDFileIsBeingRead(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x.pid")
	l := portalocker.NewPIDFileLock(path)
	must(t, l.Acquire(t.Context()))
	reader := readerOf(t, path, strconv.Itoa(os.Getpid()))
	must(t, l.Release())
	isFree(t, "lock", path+".lock")
	must(t, reader.Wait())
	must(t, l.Acquire(t.Context()))
	must(t, l.Release())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the release: %v", err)
	}
}

// readerOf starts a process that has a file open that holds the text.
func readerOf(t *testing.T, path, text string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "reader", path)
	if got := p.Expect("read "); got != text {
		t.Fatalf("another process reads %q, not %q", got, text)
	}
	return p
}

// readerRole reads a file, and has it open until its input ends.
func readerRole(p *testproc.Peer, args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	p.Say("read %s", bytes.TrimSpace(content))
	_, _ = p.Hear()
	return f.Close()
}

// TestSemaphoreProcesses: so many processes as there are slots have one, one more
// waits, and has the slot of the one that releases or is killed.
func TestSemaphoreProcesses(t *testing.T) {
	for cause, free := range map[string]func(*testproc.Process){
		"release": func(p *testproc.Process) { p.Say("release") },
		"kill":    func(p *testproc.Process) { p.Kill() },
	} {
		t.Run(cause, func(t *testing.T) {
			const slots = 2
			dir := testproc.Folder(t)
			var holders []*testproc.Process
			for range slots {
				p := testproc.Start(t, "slot", dir, strconv.Itoa(slots))
				p.Expect("waiting")
				p.Expect("ok")
				holders = append(holders, p)
			}
			s := portalocker.NewNamedBoundedSemaphore(slots, "job", portalocker.WithDirectory(dir))
			_, err := s.Acquire(t.Context())
			mustBeLocked(t, err)
			_, err = s.Acquire(t.Context(), portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(20*time.Millisecond))
			mustBeLocked(t, err)
			waiter := testproc.Start(t, "slot", dir, strconv.Itoa(slots))
			waiter.Expect("waiting")
			free(holders[1])
			waiter.Expect("ok")
			_, err = s.Acquire(t.Context())
			mustBeLocked(t, err)
			free(holders[0])
			free(waiter)
			_, err = s.Acquire(t.Context(), portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever))
			must(t, err)
			must(t, s.Release())
		})
	}
}

// slotRole takes one slot of a semaphore and keeps it until it hears a line. Its
// arguments are the directory and the number of slots.
func slotRole(p *testproc.Peer, args []string) error {
	n, _ := strconv.Atoi(args[1])
	s := portalocker.NewNamedBoundedSemaphore(n, "job", portalocker.WithDirectory(args[0]),
		portalocker.WithTimeout(portalocker.Forever), portalocker.WithFailWhenLocked(false))
	p.Say("waiting")
	if _, err := s.Acquire(context.Background()); err != nil {
		return err
	}
	p.Say("ok")
	_, _ = p.Hear()
	return s.Release()
}
