package portalocker_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// swapPath puts one thing after the other at a path, in one step each, until the input
// ends: links to the victim's file and to nothing, a FIFO, a folder, a file, nothing.
func swapPath(p *testproc.Peer, seed, path, victim string) error {
	ended := make(chan struct{})
	go func() {
		p.Hear()
		close(ended)
	}()
	random := rand.New(rand.NewPCG(seedOf(seed), 0))
	next := path + ".next"
	for {
		select {
		case <-ended:
			return nil
		default:
		}
		// All of these fail where the other side has been faster; then comes the next.
		switch random.IntN(6) {
		case 0:
			_ = os.Symlink(victim, next)
		case 1:
			_ = os.Symlink(victim+".new", next)
		case 2:
			_ = unix.Mkfifo(next, 0o666)
		case 3:
			_ = os.Mkdir(next, 0o777)
		case 4:
			_ = os.WriteFile(next, []byte("planted"), 0o666)
		}
		if unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) != nil {
			_ = os.Rename(next, path)
		}
		_ = os.Remove(next)
		if random.IntN(6) == 5 {
			_ = os.Remove(path)
		}
	}
}

func seedOf(text string) uint64 {
	seed, _ := strconv.ParseUint(text, 10, 64) // the test has written it
	return seed
}

// TestSwappedByAStranger: while a stranger exchanges what is at the path all the time,
// acquisitions fail or succeed, each within its time, and the victim's file is never
// followed to, emptied, written or removed. In a folder that is not sticky the
// stranger can remove the victim's own lock files, too.
func TestSwappedByAStranger(t *testing.T) {
	needRoot(t)
	for name, perm := range map[string]os.FileMode{"sticky": 0o777 | os.ModeSticky, "not sticky": 0o777} {
		for _, kind := range privateKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				dir := sharedDir(t, perm)
				home, victim := precious(t)
				beforeHome := snapshot(t, home)
				path := filepath.Join(dir, "x")
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				p := attacker(t, "swap", strconv.FormatUint(seed, 10), lockedFile(kind, path), victim)
				held, refused := 0, 0
				for range 300 {
					acquire, release := targetOf(kind, path, portalocker.WithMode("w"),
						portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(20*time.Millisecond))
					if err := inTime(t, func() error { return acquire(t.Context()) }); err != nil {
						refused++
						continue
					}
					held++
					_ = inTime(t, release) // may say that the path is another's now
				}
				must(t, p.Wait())
				t.Logf("%d times held, %d times refused", held, refused)
				unchanged(t, home, beforeHome)
				nothingOpen(t, dir)
				nothingOpen(t, home)
			})
		}
	}
}

// TestSlotReplacedWhileWaiting: who waits for a file that is a stranger's notices that
// the stranger has put another in its place, and takes that one.
func TestSlotReplacedWhileWaiting(t *testing.T) {
	for _, kind := range privateKinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x")
			file := lockedFile(kind, path)
			asStranger(t, newFile(t, file, "", 0o666))
			attacker(t, "lock", file)
			acquire, release := targetOf(kind, path, portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever))
			done := make(chan error, 1)
			go func() { done <- acquire(t.Context()) }()
			watching(t, os.Getpid(), file)
			asStranger(t, newFile(t, file+".new", "", 0o666))
			must(t, os.Rename(file+".new", file))
			must(t, inTime(t, func() error { return <-done }))
			must(t, release())
		})
	}
}

// TestOneOfTheSlotsReplaced: the same with a slot that is not the first. What was put in
// its place is held, too, at first; that it is free then is an event like any other.
func TestOneOfTheSlotsReplaced(t *testing.T) {
	dir := stickyDir(t)
	for _, name := range []string{"0", "1", "1.new"} {
		asStranger(t, newFile(t, filepath.Join(dir, name), "", 0o666))
	}
	path, other := filepath.Join(dir, "1"), filepath.Join(dir, "1.new")
	attacker(t, "lock", filepath.Join(dir, "0"))
	attacker(t, "lock", path)
	holding := attacker(t, "lock", other)
	inode := inodeOf(t, other)
	s := portalocker.NewNamedBoundedSemaphore(2, "x", portalocker.WithDirectory(dir), portalocker.WithFilenamePattern("{number}"),
		portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever), portalocker.WithCheckInterval(eventsOnly))
	done := make(chan error, 1)
	go func() {
		_, err := s.Acquire(t.Context())
		done <- err
	}()
	watching(t, os.Getpid(), path)
	must(t, os.Rename(other, path))
	watching(t, os.Getpid(), path)
	if inodeOf(t, path) != inode {
		t.Fatal("the slot was not replaced")
	}
	holding.Kill()
	must(t, inTime(t, func() error { return <-done }))
	must(t, s.Release())
}

// TestHeldForEver: a stranger who may open a file can hold it. A wait for it ends with
// its timeout or its context, and the error names the holder, in one line whatever the
// holder calls itself.
func TestHeldForEver(t *testing.T) {
	for _, kind := range append([]string{"lock"}, privateKinds...) {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x")
			file := lockedFile(kind, path)
			asStranger(t, newFile(t, file, "", 0o666))
			p := attacker(t, "lock", file)
			acquire, _ := targetOf(kind, path, portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever))
			ctx, cancel := context.WithCancel(t.Context())
			waits := map[string]func() error{
				"once":    func() error { return acquire(t.Context(), portalocker.WithFailWhenLocked(true)) },
				"timeout": func() error { return acquire(t.Context(), portalocker.WithTimeout(10*time.Millisecond)) },
				"context": func() error {
					go func() {
						watching(t, os.Getpid(), file)
						cancel()
					}()
					return acquire(ctx)
				},
			}
			for name, wait := range waits {
				err := inTime(t, wait)
				mustBeLocked(t, err)
				if kind == "semaphore" && name == "once" {
					continue // it does not stay at one slot for long enough to ask
				}
				mustSay(t, err, `"\x1b[31m\a\nevil"`)
				if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID != p.Cmd.Process.Pid {
					t.Errorf("%s: %v does not name pid %d", name, err, p.Cmd.Process.Pid)
				}
			}
		})
	}
}
