//go:build unix

package interop

import "testing"

// What released versions of Python portalocker do wrong. Each proof makes it happen,
// so that a test fails if it ever does not, and shows that it needs no Go.

// TemporaryFileLock up to 3.2.0 (portalocker/utils.py, lines 427 to 432 in 3.2.0, 410
// to 415 in 2.10.1):
//
//	atexit.register(self.release)
//
//	def release(self) -> None:
//	    Lock.release(self)
//	    if os.path.isfile(self.filename):
//	        os.unlink(self.filename)
//
// It unlinks after it has unlocked, when the file may be the next holder's already;
// it unlinks whether it had the lock or not, at the end of every process that made
// the object; and acquire does not look whether the file that it locked is still the
// one at the path. The next acquirer then makes a new file, and there are two holders.
const brokenTemporary = "`TemporaryFileLock` before 4.0.0 removes a lock file that is somebody else's: after its own " +
	"release, and at the end of a process that did not even get the lock. And it keeps a lock on a file that was removed. " +
	"Two hold the lock then, whether Go takes part or not. Use `Lock`, whose file stays."

func proveTemporary(t *testing.T, m *meeting) {
	if m.holder.name == "Python" {
		proveLateUnlink(t, m)
		return
	}
	proveUnlinkAtExit(t, m)
	proveOrphan(t, m)
}

// proveLateUnlink stops Python between its unlock and its unlink.
func proveLateUnlink(t *testing.T, m *meeting) {
	a, b, c := m.start(t, m.holder), m.start(t, m.waiter), m.start(t, m.holder)
	ask(a, "pause", "ok")
	ask(a, "try", "ok")
	ask(b, "try", "locked")
	m.waits(t, b)
	ask(a, "release", "unlinking")
	b.Expect("ok") // and now b holds the lock
	ask(a, "go on", "ok")
	ask(c, "try", "ok") // as does c
}

// proveUnlinkAtExit lets Python end in order after it found the lock held; once with
// Go as the holder, and once with Python alone.
func proveUnlinkAtExit(t *testing.T, m *meeting) {
	for _, holds := range []side{m.holder, m.waiter} {
		a, b, c := m.start(t, holds), m.start(t, m.waiter), m.start(t, m.waiter)
		ask(a, "try", "ok")
		ask(b, "try", "locked")
		ask(c, "try", "locked")
		if err := b.Wait(); err != nil {
			t.Fatal(err)
		}
		ask(c, "try", "ok") // as a has it too
		ask(c, "release", "ok")
		a.Kill()
	}
}

// proveOrphan lets Python wait while the holder removes the file, as it should.
func proveOrphan(t *testing.T, m *meeting) {
	a, b, c := m.start(t, m.holder), m.start(t, m.waiter), m.start(t, m.holder)
	ask(a, "try", "ok")
	m.waits(t, b)
	ask(a, "release", "ok")
	b.Expect("ok") // on a file that nobody else can find
	ask(c, "try", "ok")
}

const lacksLockfLocker = "`LockfLocker` is new in 3.2.0; `LOCKER = fcntl.lockf` does the same."

// LockfLocker in 3.2.0 (portalocker/portalocker.py): line 431 gives the class an
// attribute LOCKER, but lines 356 to 365 look at the attribute _locker, which nobody
// sets, and then take the module's LOCKER, which is fcntl.flock. As the module's LOCKER
// the class cannot serve either: it is called as if it were a function.
const brokenLockfLocker = "`LockfLocker` before 4.0.0 locks with `flock`, so it excludes neither `POSIX` nor `OFD`; as `LOCKER` it " +
	"only raises. Use `LOCKER = fcntl.lockf`."

func proveLockfLocker(t *testing.T, m *meeting) {
	direct := *m.kind
	direct.python = "directlockf"
	m = &meeting{kind: &direct, path: m.path, holder: m.holder, waiter: m.waiter}
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "try", "ok")
	ask(b, "try", "ok") // both have it

	// It meets flock instead.
	flock := direct
	flock.golang = "lock"
	m = &meeting{kind: &flock, path: m.path + ".flock", holder: m.holder, waiter: m.waiter}
	a, b = m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "try", "ok")
	ask(b, "try", "locked")

	// And the assignment that 4.0.0 made possible.
	if m.holder.name == "Python" {
		ask(m.holder.start(t, "lockflocker", m.path), "try", "error LockException")
	}
}
