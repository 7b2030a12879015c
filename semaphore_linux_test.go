package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() {
	roles["slot"] = slotRole
	roles["slotworker"] = slotWorkerRole
}

// slotRole takes one slot of a semaphore and keeps it until it hears a line. Its
// arguments are the directory, the number of slots, and "wait" for waiting by
// events only.
func slotRole(p *testproc.Peer, args []string) error {
	n, _ := strconv.Atoi(args[1])
	s := portalocker.NewNamedBoundedSemaphore(n, "job", portalocker.WithDirectory(args[0]),
		portalocker.WithTimeout(portalocker.Forever), portalocker.WithCheckInterval(eventsOnly),
		portalocker.WithFailWhenLocked(len(args) < 3))
	if _, err := s.Acquire(context.Background()); err != nil {
		return err
	}
	p.Say("ok")
	_, _ = p.Hear()
	return s.Release()
}

// TestSemaphoreWoken: a release of any slot wakes a waiter, and so does the death
// of a slot's holder, without the clock.
func TestSemaphoreWoken(t *testing.T) {
	for _, slots := range []int{1, 4} {
		for cause, free := range map[string]func(*testproc.Process){
			"release": func(p *testproc.Process) { p.Say("release") },
			"kill":    func(p *testproc.Process) { p.Kill() },
		} {
			t.Run(fmt.Sprintf("%s/%d", cause, slots), func(t *testing.T) {
				dir := t.TempDir()
				var holders []*testproc.Process
				for range slots {
					p := testproc.Start(t, "slot", dir, strconv.Itoa(slots))
					p.Expect("ok")
					holders = append(holders, p)
				}
				home := filepath.Join(dir, "job.00.lock")
				var waiters []*testproc.Process
				for i := range 4 {
					p := testproc.Start(t, "slot", dir, strconv.Itoa(slots), "wait")
					queued(t, home, i+1)
					if i < 2 {
						watching(t, p.Cmd.Process.Pid, home)
					}
					waiters = append(waiters, p)
				}
				for len(waiters) > 0 { // in order, but for one that the scheduler keeps from running
					i := rand.IntN(slots)
					free(holders[i])
					next := whoSpeaks(t, waiters)
					holders[i] = waiters[next]
					waiters = slices.Delete(waiters, next, next+1)
				}
			})
		}
	}
}

// TestSemaphoreTimeout: a wait for a slot ends, and leaves nothing.
func TestSemaphoreTimeout(t *testing.T) {
	dir := t.TempDir()
	held := portalocker.NewNamedBoundedSemaphore(1, "job", portalocker.WithDirectory(dir))
	if _, err := held.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := portalocker.NewNamedBoundedSemaphore(1, "job", portalocker.WithDirectory(dir), portalocker.WithFailWhenLocked(false))
	before := 0
	for range 2 { // the first wait of the process opens what stays: the poller, and the inotify instance
		before = openFiles(t)
		_, err := s.Acquire(t.Context(), portalocker.WithTimeout(20*time.Millisecond))
		if !errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Acquire(ctx, portalocker.WithTimeout(portalocker.Forever))
		done <- err
	}()
	queued(t, held.Filenames()[0], 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	queued(t, held.Filenames()[0], 0)
	if after := openFiles(t); after > before+2 {
		t.Errorf("%d open files before the waits, %d after", before, after)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestSemaphoreBecomesAFolder: a wait that fails because a slot is no file any more
// leaves none of the slots open.
func TestSemaphoreBecomesAFolder(t *testing.T) {
	dir, folder := t.TempDir(), t.TempDir()
	testproc.Start(t, "slot", dir, "2").Expect("ok")
	testproc.Start(t, "slot", dir, "2").Expect("ok")
	s := portalocker.NewNamedBoundedSemaphore(2, "job", portalocker.WithDirectory(dir), portalocker.WithFailWhenLocked(false))
	home := s.Filenames()[0]
	failed := make(chan error)
	go func() {
		_, err := s.Acquire(t.Context(), portalocker.WithTimeout(portalocker.Forever))
		failed <- err
	}()
	queued(t, home, 1)
	watching(t, os.Getpid(), home)
	if err := unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, home, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	mustSay(t, <-failed, "it is a directory")
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if file, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(file, dir) || strings.HasPrefix(file, folder) {
			t.Errorf("%s is still open", file)
		}
	}
}

// slotWorkerRole takes slots again and again until its input ends. Its arguments
// are the directory, the number of slots, the witness's path, its number, a seed.
func slotWorkerRole(p *testproc.Peer, args []string) (err error) {
	n, _ := strconv.Atoi(args[1])
	me, _ := strconv.Atoi(args[3])
	seed, _ := strconv.ParseUint(args[4], 10, 64)
	random := rand.New(rand.NewPCG(seed, uint64(me)))
	seen, _, err := mapWitness(args[2])
	if err != nil {
		return err
	}
	defer seen.fails(&err)
	var stop atomic.Bool
	go func() {
		_, _ = p.Hear()
		stop.Store(true)
	}()
	s := portalocker.NewNamedBoundedSemaphore(n, "job", portalocker.WithDirectory(args[0]), portalocker.WithFailWhenLocked(false))
	for !stop.Load() {
		slot, err := s.Acquire(context.Background(), portalocker.WithTimeout(time.Duration(random.IntN(40))*time.Millisecond))
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			continue
		}
		if err != nil {
			return err
		}
		// A slot is a worker's place in the witness here.
		at := &seen.inside[slices.Index(s.Filenames(), slot.Path())]
		note := at.note.Swap(noteOf(os.Getpid(), true))
		if pid, _ := readNote(note); note != 0 && alive(pid) {
			return fmt.Errorf("slot %s is had twice, by %d too", slot.Path(), pid)
		}
		inside := int64(0)
		for i := range n {
			// Not a killed worker's note, which stays until somebody gets that slot.
			if pid, _ := readNote(seen.inside[i].note.Load()); pid != 0 && alive(pid) {
				inside++
			}
		}
		seen.inside[me].turns.Add(1)
		seen.inside[me].most.Store(max(inside, seen.inside[me].most.Load()))
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
		at.note.Store(0)
		if err := s.Release(); err != nil {
			return err
		}
	}
	return nil
}

// TestSemaphoreNeverOver: four times as many processes as slots, some of which are
// killed, are never more inside than there are slots, are that many at times, and
// leave every slot usable.
func TestSemaphoreNeverOver(t *testing.T) {
	const slots = workers / 4
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1<<32))
	dir := t.TempDir()
	witnessPath := filepath.Join(t.TempDir(), "witness")
	seen, unmap, err := mapWitness(witnessPath)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap() //nolint:errcheck // it is not used any more
	start := func(i int) *testproc.Process {
		return testproc.Start(t, "slotworker", dir, strconv.Itoa(slots), witnessPath, strconv.Itoa(i), strconv.FormatUint(seed, 10))
	}
	var processes [workers]*testproc.Process
	for i := range processes {
		processes[i] = start(i)
	}
	kills := 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(max(*soak, 2*time.Second)); time.Now().Before(end); <-tick.C {
		if i := random.IntN(workers); random.IntN(2) == 0 {
			processes[i].Kill()
			processes[i] = start(i)
			kills++
		}
	}
	for i, p := range processes {
		if err := p.Wait(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	seen.mustNotHaveFailed(t)
	turns, most := int64(0), int64(0)
	for i := range workers {
		turns += seen.inside[i].turns.Load()
		most = max(most, seen.inside[i].most.Load())
	}
	t.Logf("%d turns, %d kills, at most %d inside", turns, kills, most)
	if most != slots {
		t.Errorf("at most %d were inside, of %d slots", most, slots)
	}
	for range slots {
		s := portalocker.NewNamedBoundedSemaphore(slots, "job", portalocker.WithDirectory(dir))
		if _, err := s.Acquire(t.Context()); err != nil {
			t.Fatalf("a slot is not usable: %v", err)
		}
		t.Cleanup(func() { _ = s.Release() })
	}
}

// TestThousandSlots: the last free one of a thousand slots is found. How long that
// takes is in bench; here it is only told.
func TestThousandSlots(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200 // to take them all costs the square of it, a minute under the race detector
	}
	in := portalocker.WithDirectory(t.TempDir())
	for i := range n - 1 {
		s := portalocker.NewNamedBoundedSemaphore(n, "job", in)
		if _, err := s.Acquire(t.Context()); err != nil {
			t.Fatalf("slot %d: %v", i, err)
		}
		t.Cleanup(func() { _ = s.Release() })
	}
	var times []time.Duration
	for range 20 {
		s := portalocker.NewNamedBoundedSemaphore(n, "job", in)
		began := time.Now()
		if _, err := s.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(began))
		if err := s.Release(); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(times)
	t.Logf("with %d of %d slots taken, an acquire takes %v (median of %d)", n-1, n, times[len(times)/2], len(times))
}

// TestSemaphoreAlwaysReplaced: a semaphore whose slot others keep replacing is locked,
// and says so.
func TestSemaphoreAlwaysReplaced(t *testing.T) {
	dir := t.TempDir()
	startReplacing(t, filepath.Join(dir, "x.00.lock"))
	for _, opts := range [][]portalocker.Option{
		{portalocker.WithTimeout(0)},
		{portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(30 * time.Millisecond)},
	} {
		s := portalocker.NewNamedBoundedSemaphore(1, "x", append(opts, portalocker.WithDirectory(dir))...)
		for range 20 {
			if _, err := s.Acquire(t.Context()); err != nil && !errors.Is(err, portalocker.ErrAlreadyLocked) {
				t.Fatalf("%v is not ErrAlreadyLocked", err)
			}
			must(t, s.Release())
		}
	}
}

// TestSemaphoreModes: a slot's file is opened in the mode that was asked for, or in one
// with which it can be locked.
func TestSemaphoreModes(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.Flock, portalocker.OFD, portalocker.POSIX} {
		for mode, want := range map[portalocker.Mode]string{"r": "old", "a": "old", "w": ""} {
			for _, once := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v/%s/%t", m, mode, once), func(t *testing.T) {
					s := portalocker.NewNamedBoundedSemaphore(1, "x", portalocker.WithDirectory(t.TempDir()),
						portalocker.WithMode(mode), portalocker.WithMechanism(m), portalocker.WithFailWhenLocked(once))
					must(t, os.WriteFile(s.Filenames()[0], []byte("old"), 0o666))
					_, err := s.Acquire(t.Context())
					must(t, err)
					if got, err := os.ReadFile(s.Filenames()[0]); err != nil || string(got) != want {
						t.Errorf("the file has %q, not %q (%v)", got, want, err)
					}
					must(t, s.Release())
				})
			}
		}
	}
}
