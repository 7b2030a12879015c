//go:build unix

package interop

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// kind is one kind of lock, as it is called on both sides.
type kind struct {
	label          string // in the table
	python, golang string // the peers' words for it
	args           []string

	since string // the first version that has it; "" for all
	lacks string // what those before it lack

	sound  string // the first version that has it right; "" for all
	broken string // what those before it do wrong
	proof  func(t *testing.T, m *meeting)

	check func(t *testing.T, m *meeting)
	crowd int // how many of the crowd's four may be in at a time; 0 for no crowd
}

// semaphoreLimit is how many may have the semaphores of these tests.
const semaphoreLimit = 3

var kinds = []kind{
	{label: "`Lock`", python: "lock", golang: "lock", check: checkExclusive, crowd: 1},
	{label: "`Lock`, shared and exclusive", python: "lock", golang: "lock", check: checkShared},
	{label: "`lock`, `unlock` with `LockFile`, `UnlockFile`", python: "function", golang: "function", check: checkExclusive},
	{label: "`RLock`", python: "rlock", golang: "rlock", check: checkNested},
	{
		label: "`TemporaryFileLock`", python: "temporary", golang: "temporary", check: checkTemporary, crowd: 1,
		sound: "4.0.0", broken: brokenTemporary, proof: proveTemporary,
	},
	{
		label: "`PidFileLock`", python: "pid", golang: "pid", check: checkPID, crowd: 1,
		since: "4.0.0", lacks: "`PidFileLock` is new in 4.0.0.",
	},
	{
		label: "`NamedBoundedSemaphore`", python: "named", golang: "named", check: checkSemaphore, crowd: 2,
		args: []string{"limit=" + strconv.Itoa(semaphoreLimit)},
	},
	{
		label: "`BoundedSemaphore`", python: "bounded", golang: "bounded", check: checkSemaphore,
		args: []string{"limit=" + strconv.Itoa(semaphoreLimit)},
	},
	{label: "`LOCKER = fcntl.lockf` with `POSIX`", python: "lockf", golang: "posix", check: checkExclusive},
	{label: "`LOCKER = fcntl.lockf` with `POSIX`, shared and exclusive", python: "lockf", golang: "posix", check: checkShared},
	{label: "`LOCKER = fcntl.lockf` with `OFD`", python: "lockf", golang: "ofd", check: checkExclusive},
	{label: "`LOCKER = fcntl.lockf` with `OFD`, shared and exclusive", python: "lockf", golang: "ofd", check: checkShared},
	{
		label: "`LOCKER = LockfLocker` with `POSIX`", python: "lockflocker", golang: "posix", check: checkExclusive,
		since: "3.2.0", lacks: lacksLockfLocker, sound: "4.0.0", broken: brokenLockfLocker, proof: proveLockfLocker,
	},
	{
		label: "`LOCKER = LockfLocker` with `OFD`", python: "lockflocker", golang: "ofd", check: checkExclusive,
		since: "3.2.0", lacks: lacksLockfLocker, sound: "4.0.0", broken: brokenLockfLocker, proof: proveLockfLocker,
	},
}

// The roles in the table.
const (
	pythonHolds = "Python holds"
	goHolds     = "Go holds"
	allAtOnce   = "two of each, in turns"
)

// Each kind of lock is held by one side and wanted by the other, in both roles,
// against every version; some also meet in a crowd.
func TestLocks(t *testing.T) {
	versions := pythonVersions(t)
	for i := range kinds {
		k := &kinds[i]
		roles := []string{pythonHolds, goHolds}
		if k.crowd > 0 {
			roles = append(roles, allAtOnce)
		}
		for _, role := range roles {
			row := fileResults.row(k.label, role)
			for _, version := range versions {
				t.Run(strings.ReplaceAll(k.label, "`", "")+"/"+role+"/"+version, func(t *testing.T) {
					t.Parallel()
					k.run(t, row, version)
				})
			}
		}
	}
}

// run is one cell of the table.
func (k *kind) run(t *testing.T, row *row, version string) {
	switch {
	case k.since != "" && before(version, k.since):
		row.lacks(t, version, k.lacks)
	case k.sound != "" && before(version, k.sound):
		row.unsafe(t, version, k.broken)
		if row.role != allAtOnce { // where the defect may or may not show
			k.proof(t, k.meet(t, row.role, version))
		}
	case row.role == allAtOnce:
		row.ok(t, version)
		checkCrowd(t, k, version)
	default:
		row.ok(t, version)
		k.check(t, k.meet(t, row.role, version))
	}
}

// meeting is the two sides over one lock.
type meeting struct {
	*kind
	path           string
	holder, waiter side
}

func (k *kind) meet(t *testing.T, role, version string) *meeting {
	t.Helper()
	if k.golang == "ofd" && runtime.GOOS != "linux" {
		t.Skip("only Linux has OFD locks")
	}
	m := &meeting{kind: k, path: filepath.Join(t.TempDir(), "it"), holder: goSide, waiter: pythonSide(version)}
	if role == pythonHolds {
		m.holder, m.waiter = m.waiter, m.holder
	}
	return m
}

// start starts a process of a side, with more arguments than the kind has.
func (m *meeting) start(t *testing.T, s side, more ...string) *testproc.Process {
	t.Helper()
	word := m.golang
	if s.name == "Python" {
		word = m.python
	}
	return s.start(t, word, m.path, append(more, m.args...)...)
}

// probe tries the lock in the process of the test itself, and gives it back.
func (m *meeting) probe(t *testing.T, more ...string) error {
	t.Helper()
	word := m.golang
	if word == "function" { // that one would leave its file open
		word = "lock"
	}
	lock, err := newPeerLock(word, m.path, append(more, m.args...))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.try(); err != nil {
		return err
	}
	return lock.release()
}

func (m *meeting) isHeld(t *testing.T, more ...string) {
	t.Helper()
	if err := m.probe(t, more...); !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Fatalf("the lock is not held: %v", err)
	}
}

func (m *meeting) isFree(t *testing.T, more ...string) {
	t.Helper()
	if err := m.probe(t, more...); err != nil {
		t.Fatalf("the lock is not free: %v", err)
	}
}

// waits makes a process wait for the lock, which is held.
func (m *meeting) waits(t *testing.T, p *testproc.Process) {
	t.Helper()
	p.Say("wait")
	p.Expect("waiting")
	if m.golang == "function" && runtime.GOOS == "linux" {
		untilBlocked(t, p, m.path)
	}
}

// untilBlocked waits until the system lets a process wait for the lock on a file.
func untilBlocked(t *testing.T, p *testproc.Process, path string) {
	t.Helper()
	pid := p.Cmd.Process.Pid
	testproc.AwaitNil(t, fmt.Sprintf("process %d waits", pid), func() error {
		holders, err := portalocker.Holders(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range holders {
			if h.Waiting && h.PID == pid {
				return nil
			}
		}
		return fmt.Errorf("the holders are %v", holders)
	})
}

// ask says a command and expects the answer at once.
func ask(p *testproc.Process, command, answer string) string {
	p.Say("%s", command)
	return p.Expect(answer)
}
