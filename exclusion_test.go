//go:build unix || windows

package portalocker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["worker"] = workerRole }

var soak = flag.Duration("soak", 0, "run the tests of mutual exclusion for this long, each")

const workers = 16

// witness is memory that all workers of a test share. It is not locked: it sees
// what the lock lets happen.
type witness struct {
	failed atomic.Int64 // workers that have ended with an error; one that was killed since cannot tell
	inside [workers]struct {
		note  atomic.Int64 // a worker that holds the lock, 0 when it does not
		turns atomic.Int64 // exclusive holds in which the counter was written
		most  atomic.Int64 // slots of a semaphore that the worker has seen taken at once
	}
}

// noteOf says in one word who holds, and whether alone. Of two words, the one that a
// killed writer left would speak of the reader that comes after it.
func noteOf(pid int, alone bool) int64 {
	if alone {
		return int64(-pid)
	}
	return int64(pid)
}

func readNote(note int64) (pid int, alone bool) { return int(max(note, -note)), note < 0 }

// mapWitness maps a file, and makes it if it is not there. It is mapped until unmap.
func mapWitness(path string) (w *witness, unmap func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // the mapping stays
	size := int(unsafe.Sizeof(witness{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, nil, err
	}
	memory, unmap, err := mapShared(f, size)
	return (*witness)(memory), unmap, err
}

// enter notes that a worker holds the lock, and looks for another that does too.
func (w *witness) enter(me int, alone bool) error {
	w.inside[me].note.Store(noteOf(os.Getpid(), alone))
	for other := range workers {
		note := w.inside[other].note.Load()
		pid, writes := readNote(note)
		if other == me || note == 0 || !alone && !writes {
			continue
		}
		// A killed worker's note stays. It lost its lock when it died.
		if alive(pid) && w.inside[other].note.Load() == note {
			return fmt.Errorf("TWO HOLDERS: worker %d (alone: %t) beside worker %d (alone: %t)", me, alone, other, writes)
		}
	}
	return nil
}

func (w *witness) leave(me int) { w.inside[me].note.Store(0) }

// fails takes note of the error that a worker ends with. Its exit status is not enough:
// a worker that is killed is not asked for it, also where it had ended before.
func (w *witness) fails(err *error) {
	if *err != nil {
		w.failed.Add(1)
	}
}

// mustNotHaveFailed fails if any worker has, be it that another has taken its place.
func (w *witness) mustNotHaveFailed(t *testing.T) {
	t.Helper()
	if n := w.failed.Load(); n > 0 {
		t.Errorf("%d workers ended with an error, which they have written to standard error", n)
	}
}

// workerRole takes a lock again and again until its input ends: shared or
// exclusive, waiting or trying, for a short or no time. Its arguments are the
// kind, the path, the witness's path, the counter's path, its number and a seed.
func workerRole(p *testproc.Peer, args []string) (err error) {
	me, _ := strconv.Atoi(args[4])
	seed, _ := strconv.ParseUint(args[5], 10, 64)
	random := rand.New(rand.NewPCG(seed, uint64(me)))
	seen, _, err := mapWitness(args[2])
	if err != nil {
		return err
	}
	defer seen.fails(&err)
	counter, err := os.OpenFile(args[3], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	go func() {
		_, _ = p.Hear()
		stop.Store(true)
	}()
	kind := args[0]
	exclusive, acquireExclusive := newLock(kind, args[1], portalocker.WithFailWhenLocked(false))
	shared, acquireShared := exclusive, acquireExclusive
	if kind != "pid" {
		shared, acquireShared = newLock(kind, args[1], portalocker.WithFailWhenLocked(false), portalocker.WithFlags(portalocker.Shared))
	}
	for !stop.Load() {
		alone := kind == "pid" || random.IntN(3) > 0
		l, acquire := exclusive, acquireExclusive
		if !alone {
			l, acquire = shared, acquireShared
		}
		timeout := time.Duration(random.IntN(3)) * time.Duration(random.IntN(20)) * time.Millisecond
		err := acquire(context.Background(), portalocker.WithTimeout(timeout))
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			continue
		}
		if err != nil {
			return err
		}
		if err := seen.enter(me, alone); err != nil {
			return err
		}
		if alone {
			if err := increment(counter, func() { time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond) }); err != nil {
				return err
			}
			seen.inside[me].turns.Add(1)
		}
		seen.leave(me)
		if err := l.Release(); err != nil {
			return err
		}
	}
	return nil
}

// increment is a read and a write, with something in between that would lose
// updates if two did it.
func increment(counter *os.File, between func()) error {
	var value [8]byte
	if _, err := counter.ReadAt(value[:], 0); err != nil {
		return err
	}
	between()
	binary.NativeEndian.PutUint64(value[:], binary.NativeEndian.Uint64(value[:])+1)
	_, err := counter.WriteAt(value[:], 0)
	return err
}

// TestMutualExclusion: many processes, of which some are killed and some are
// stopped at random moments, never hold an exclusive lock beside another holder,
// lose no update of a file, and leave the lock free.
func TestMutualExclusion(t *testing.T) {
	length := 2 * time.Second
	if testing.Short() {
		length /= 2
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { exclude(t, kind, max(*soak, length)) })
	}
}

func exclude(t *testing.T, kind string, length time.Duration) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1<<32))
	dir := testproc.Folder(t)
	path, witnessPath, counterPath := filepath.Join(dir, "x.lock"), filepath.Join(dir, "witness"), filepath.Join(dir, "counter")
	seen, unmap, err := mapWitness(witnessPath)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap() //nolint:errcheck // it is not used any more
	if err := os.WriteFile(counterPath, make([]byte, 8), 0o666); err != nil {
		t.Fatal(err)
	}
	start := func(i int) *testproc.Process {
		return testproc.Start(t, "worker", kind, path, witnessPath, counterPath, strconv.Itoa(i), strconv.FormatUint(seed, 10))
	}
	var processes [workers]*testproc.Process
	for i := range processes {
		processes[i] = start(i)
	}
	turns := func() (n int64) {
		for i := range workers {
			n += seen.inside[i].turns.Load()
		}
		return n
	}
	const fewTurns = 20 // would show nothing; where everything is slow it takes longer
	kills, stops := 0, 0
	var stopped *testproc.Process
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < length || turns() < fewTurns && time.Since(begin) < 10*length; <-tick.C {
		i := random.IntN(workers)
		switch {
		case stopped != nil:
			if random.IntN(4) == 0 {
				goOn(stopped)
				stopped = nil
			}
		case pause != nil && random.IntN(4) == 0:
			pause(processes[i])
			stopped = processes[i]
			stops++
		case random.IntN(2) == 0:
			processes[i].Kill()
			kills++
			processes[i] = start(i)
		}
	}
	if stopped != nil {
		goOn(stopped)
	}
	for _, p := range processes {
		p.Close()
	}
	for i, p := range processes {
		if err := p.Wait(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	seen.mustNotHaveFailed(t)
	isFree(t, kind, path)

	content, err := os.ReadFile(counterPath)
	if err != nil {
		t.Fatal(err)
	}
	counted := int64(binary.NativeEndian.Uint64(content))
	t.Logf("%d exclusive turns, %d kills, %d stops", turns(), kills, stops)
	// A worker killed between its write and its note has written one more.
	if counted < turns() || counted > turns()+int64(kills) {
		t.Errorf("the counter says %d after %d turns and %d kills: updates were lost", counted, turns(), kills)
	}
	if turns() < fewTurns {
		t.Errorf("only %d turns: the test shows nothing", turns())
	}
}
