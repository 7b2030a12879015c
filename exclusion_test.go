//go:build unix

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
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["worker"] = workerRole }

var soak = flag.Duration("soak", 0, "run the tests of mutual exclusion for this long, each")

const workers = 16

// witness is memory that all workers of a test share. It is not locked: it sees
// what the lock lets happen.
type witness struct {
	inside [workers]struct {
		pid     atomic.Int64 // of a worker that holds the lock, 0 when it does not
		writing atomic.Int64 // whether alone
		turns   atomic.Int64 // exclusive holds in which the counter was written
	}
}

func mapWitness(path string) (*witness, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the mapping stays
	size := int(unsafe.Sizeof(witness{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*witness)(unsafe.Pointer(&memory[0])), nil
}

// enter notes that a worker holds the lock, and looks for another that does too.
func (w *witness) enter(me int, alone bool) error {
	if alone {
		w.inside[me].writing.Store(1)
	}
	w.inside[me].pid.Store(int64(os.Getpid()))
	for other := range workers {
		pid := w.inside[other].pid.Load()
		if other == me || pid == 0 || !(alone || w.inside[other].writing.Load() == 1) {
			continue
		}
		// A killed worker's note stays. It lost its lock when it died.
		if alive(int(pid)) && w.inside[other].pid.Load() == pid {
			return fmt.Errorf("TWO HOLDERS: worker %d (alone: %t) beside worker %d", me, alone, other)
		}
	}
	return nil
}

func (w *witness) leave(me int) {
	w.inside[me].pid.Store(0)
	w.inside[me].writing.Store(0)
}

// alive says that a process runs or is stopped, but is not about to end.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if _, noProc := os.Stat("/proc/self/stat"); noProc != nil {
			return syscall.Kill(pid, 0) == nil
		}
		return false
	}
	// proc_pid_stat(5): after the name in parentheses come the state and, seven
	// fields on, the flags; PF_EXITING is 4 (linux/sched.h).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	flags, _ := strconv.Atoi(fields[6])
	return fields[0] != "Z" && fields[0] != "X" && flags&4 == 0
}

// workerRole takes a lock again and again until its input ends: shared or
// exclusive, waiting or trying, for a short or no time. Its arguments are the
// kind, the path, the witness's path, the counter's path, its number and a seed.
func workerRole(p *testproc.Peer, args []string) error {
	me, _ := strconv.Atoi(args[4])
	seed, _ := strconv.ParseUint(args[5], 10, 64)
	random := rand.New(rand.NewPCG(seed, uint64(me)))
	seen, err := mapWitness(args[2])
	if err != nil {
		return err
	}
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
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { exclude(t, kind, max(*soak, 2*time.Second)) })
	}
}

func exclude(t *testing.T, kind string, length time.Duration) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1<<32))
	dir := t.TempDir()
	path, witnessPath, counterPath := filepath.Join(dir, "x.lock"), filepath.Join(dir, "witness"), filepath.Join(dir, "counter")
	seen, err := mapWitness(witnessPath)
	if err != nil {
		t.Fatal(err)
	}
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
	kills, stops := 0, 0
	var stopped *testproc.Process
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(length); time.Now().Before(end); <-tick.C {
		i := random.IntN(workers)
		switch {
		case stopped != nil:
			if random.IntN(4) == 0 {
				stopped.Continue()
				stopped = nil
			}
		case random.IntN(4) == 0:
			processes[i].Stop()
			stopped = processes[i]
			stops++
		case random.IntN(2) == 0:
			processes[i].Kill()
			kills++
			processes[i] = start(i)
		}
	}
	if stopped != nil {
		stopped.Continue()
	}
	for _, p := range processes {
		p.Close()
	}
	for i, p := range processes {
		if err := p.Wait(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	isFree(t, kind, path)

	turns := int64(0)
	for i := range workers {
		turns += seen.inside[i].turns.Load()
	}
	content, err := os.ReadFile(counterPath)
	if err != nil {
		t.Fatal(err)
	}
	counted := int64(binary.NativeEndian.Uint64(content))
	t.Logf("%d exclusive turns, %d kills, %d stops", turns, kills, stops)
	// A worker killed between its write and its note has written one more.
	if counted < turns || counted > turns+int64(kills) {
		t.Errorf("the counter says %d after %d turns and %d kills: updates were lost", counted, turns, kills)
	}
	if turns < 20 {
		t.Errorf("only %d turns: the test shows nothing", turns)
	}
}
