package portalocker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["blind"] = blindRole }

// lockedPath is the file that a lock of the kind on path locks.
func lockedPath(kind, path string) string {
	if kind == "pid" {
		return path + ".lock"
	}
	return path
}

// waiting starts a process that waits for a lock, with nothing but events to wake
// it, and returns when it is about to sleep.
func waiting(t *testing.T, kind, path string, args ...string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "hold", append([]string{kind, path, "events"}, args...)...)
	p.Say("wait")
	p.Expect("waiting")
	watching(t, p.Cmd.Process.Pid, lockedPath(kind, path))
	return p
}

// TestWokenByEvent: each cause of a wake-up does it alone, without the clock.
func TestWokenByEvent(t *testing.T) {
	causes := map[string]func(t *testing.T, holder *testproc.Process, path string){
		"release": func(_ *testing.T, holder *testproc.Process, _ string) { holder.Say("release") },
		"kill":    func(_ *testing.T, holder *testproc.Process, _ string) { holder.Kill() },
		"unlink": func(t *testing.T, _ *testproc.Process, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, kind := range kinds {
		for cause, happen := range causes {
			if cause == "unlink" && kind != "temporary" && kind != "pid" {
				continue
			}
			t.Run(kind+"/"+cause, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "x.lock")
				holder := holder(t, kind, path)
				waiter := waiting(t, kind, path)
				happen(t, holder, lockedPath(kind, path))
				waiter.Expect("ok")
			})
		}
	}
}

// TestWokenOnDirectory: a lock on a directory, whose entries come and go.
func TestWokenOnDirectory(t *testing.T) {
	dir := t.TempDir()
	holder := holder(t, "lock", dir)
	waiter := waiting(t, "lock", dir)
	if err := os.WriteFile(filepath.Join(dir, "entry"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	holder.Say("release")
	waiter.Expect("ok")
}

// TestWokenByGoroutine: a waiter of the same process needs no event either.
func TestWokenByGoroutine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	first := portalocker.New(path)
	if _, err := first.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := portalocker.New(path, portalocker.WithTimeout(portalocker.Forever), portalocker.WithCheckInterval(eventsOnly))
	done := make(chan error)
	go func() { done <- second.Do(t.Context(), func(context.Context) error { return nil }) }()
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestCancelled: a context ends a wait, and nothing of it stays.
func TestCancelled(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.lock")
			holder(t, kind, path)
			before := openFiles(t)
			cause := errors.New("the operator changed her mind")
			ctx, cancel := context.WithCancelCause(t.Context())
			_, acquire := newLock(kind, path, portalocker.WithTimeout(portalocker.Forever),
				portalocker.WithFailWhenLocked(false), portalocker.WithCheckInterval(eventsOnly))
			done := make(chan error)
			go func() { done <- acquire(ctx) }()
			watching(t, os.Getpid(), lockedPath(kind, path))
			cancel(cause)
			err := <-done
			for _, is := range []error{portalocker.ErrAlreadyLocked, portalocker.ErrLock, context.Canceled, cause} {
				if !errors.Is(err, is) {
					t.Errorf("%v is not %v", err, is)
				}
			}
			queued(t, lockedPath(kind, path), 0)
			// The inotify instance and its eventfd stay, once they are there.
			if after := openFiles(t); after > before+2 {
				t.Errorf("%d open files before the wait, %d after", before, after)
			}
		})
	}
}

// TestCancelledAtAnyMoment: waits that end somewhere between their begin and the
// release leave neither a lock nor a descriptor nor a ticket.
func TestCancelledAtAnyMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "x.lock")
	first, second := portalocker.New(path), portalocker.New(path, portalocker.WithTimeout(portalocker.Forever))
	before := 0
	for i := range 1000 {
		if i == 1 {
			before = openFiles(t) // now with the inotify instance
		}
		if _, err := first.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := second.Acquire(ctx)
			done <- err
		}()
		spin(time.Duration(random.IntN(60)) * time.Microsecond)
		if random.IntN(2) == 0 {
			cancel()
		}
		spin(time.Duration(random.IntN(20)) * time.Microsecond)
		if err := first.Release(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			cancel()
		}
		if err := <-done; err == nil {
			if err := second.Release(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		isFree(t, "lock", path)
	}
	if after := openFiles(t); after > before+2 {
		t.Errorf("%d open files before, %d after", before, after)
	}
	queued(t, path, 0)
}

// spin passes time that is too short to sleep.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// blindRole waits for a lock in a user namespace that may have no inotify
// instance, and says what its logger was told.
func blindRole(p *testproc.Peer, args []string) error {
	if err := os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("0"), 0); err != nil {
		return err
	}
	var told bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := portalocker.New(args[0], portalocker.WithTimeout(portalocker.Forever), portalocker.WithLogger(logger))
	p.Say("waiting")
	if _, err := l.Acquire(context.Background()); err != nil {
		return err
	}
	p.Say("ok")
	p.Say("polls: %t", strings.Contains(told.String(), "polling"))
	_, _ = p.Hear()
	return l.Release()
}

// TestPollsWithoutEvents: a process that can have no inotify instance gets its
// lock all the same.
func TestPollsWithoutEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	holder := holder(t, "lock", path)
	cmd := testproc.Command(t, "blind", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if probe := *cmd; probe.Start() != nil {
		testproc.Skip(t, "userns", "allow unprivileged user namespaces, or run as root")
	} else {
		_ = probe.Process.Kill()
		_ = probe.Wait()
	}
	waiter := testproc.StartCmd(t, cmd)
	waiter.Expect("waiting")
	queued(t, path, 1)
	holder.Say("release")
	holder.Expect("ok")
	waiter.Expect("ok")
	if said := waiter.Expect("polls: "); said != "true" {
		t.Error("the waiter was not told that there are no events, so the test shows nothing")
	}
}

// TestWokenBesideHeir: the file stays open in a child, so that its close tells nobody.
func TestWokenBesideHeir(t *testing.T) {
	for _, kind := range []string{"lock", "slot"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "job.00.lock")
			held := portalocker.New(path)
			file, err := held.Acquire(t.Context())
			must(t, err)
			begin := time.Now()
			heir := exec.Command("sleep", "600")
			heir.ExtraFiles = []*os.File{file}
			testproc.StartCmd(t, heir)
			var waiter *testproc.Process
			if kind == "lock" {
				waiter = waiting(t, kind, path)
			} else {
				waiter = testproc.Start(t, "slot", dir, "1", "wait")
				watching(t, waiter.Cmd.Process.Pid, path)
			}
			time.Sleep(portalocker.DefaultCheckInterval - time.Since(begin)) // shorter holds are not told of
			must(t, held.Release())
			waiter.Expect("ok")
		})
	}
}
