package portalocker

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
)

const (
	// DefaultTimeout is how long Acquire waits unless WithTimeout says otherwise.
	DefaultTimeout = 5 * time.Second

	// DefaultCheckInterval is how often a waiter looks at the lock when no event
	// wakes it, unless WithCheckInterval says otherwise; see there.
	DefaultCheckInterval = 250 * time.Millisecond

	// Forever is the timeout that never passes. A context can still end the wait.
	Forever time.Duration = math.MaxInt64
)

// Mechanism is the facility of the operating system that does the locking.
// Programs exclude each other only if they lock a file by mechanisms that meet:
// Flock meets Flock, and OFD meets POSIX.
type Mechanism uint8

const (
	// DefaultMechanism is Flock on Unix, POSIX on Solaris and AIX, which lack it,
	// and LockFileEx on Windows.
	DefaultMechanism = Mechanism(oslock.Default)

	// Flock is flock(2): the lock belongs to the open file.
	Flock = Mechanism(oslock.Flock)

	// OFD is a Linux open-file-description lock (F_OFD_SETLK of fcntl(2)): it
	// belongs to the open file as with Flock, but meets the lockf and fcntl locks
	// of other programs, and works over NFS. An exclusive one needs a file that
	// is open for writing, a shared one a file that is open for reading.
	OFD = Mechanism(oslock.OFD)

	// POSIX is the traditional fcntl(2) lock, which lockf uses too, for programs
	// that use it. Beware: it belongs to the process. As soon as anything in this
	// process, a library too, opens and closes the same file by itself, the
	// system drops the lock without a word. Locks of this package do not do that
	// to each other. Prefer OFD, which meets the same programs.
	POSIX = Mechanism(oslock.POSIX)

	// LockFileEx is the lock of Windows. It is mandatory: while it is held, others
	// cannot read the file (exclusive) or write it (either).
	LockFileEx = Mechanism(oslock.LockFileEx)
)

// String is the mechanism's name in lower case, as the command line takes it.
func (m Mechanism) String() string { return oslock.Mechanism(m).String() }

// Option changes how a lock behaves: in a constructor always, in Acquire for
// that call. An option with a bad value makes every Acquire fail with an error
// that names it, before any file is touched.
type Option func(*settings)

// settings are the sum of the options.
type settings struct {
	mode           Mode
	access         access // what mode means
	perm           fs.FileMode
	timeout        time.Duration
	checkInterval  time.Duration
	failWhenLocked bool
	flags          LockFlags
	lockMode       oslock.Mode // what flags mean
	mechanism      oslock.Mechanism
	logger         *slog.Logger
	slots          bool   // they are for a semaphore, whose files the next two name
	directory      string //
	pattern        string //
	err            error  // the first bad option
}

// WithMode sets how the file is opened; see Mode. The default is "a".
func WithMode(mode Mode) Option {
	return func(s *settings) {
		access, err := mode.parse()
		s.mode, s.access = mode, access
		s.fail(err)
	}
}

// WithPerm sets the permissions of a file that the lock creates, of which the
// system takes the umask. The default is 0666, so that all users of a shared
// directory can lock.
func WithPerm(perm fs.FileMode) Option {
	return func(s *settings) {
		s.perm = perm
		if perm != perm.Perm() {
			s.fail(fmt.Errorf("WithPerm(%v): only permission bits can be set", perm))
		}
	}
}

// WithTimeout sets how long Acquire waits for a lock that somebody else holds.
// 0 tries once, Forever waits until the context ends. The default is
// DefaultTimeout.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) {
		s.timeout = d
		if d < 0 {
			s.fail(fmt.Errorf("WithTimeout(%v): a timeout cannot be negative; 0 tries once, Forever has no end", d))
		}
	}
}

// WithCheckInterval sets how often a waiter looks at the lock when no event wakes
// it. On Linux events do, and this is only a safety net, which on local
// filesystems gets up to 60 times as wide in the course of a long wait; elsewhere it
// is the longest pause between two tries. The default is DefaultCheckInterval.
func WithCheckInterval(d time.Duration) Option {
	return func(s *settings) {
		s.checkInterval = d
		if d <= 0 {
			s.fail(fmt.Errorf("WithCheckInterval(%v): an interval must be longer than 0", d))
		}
	}
}

// WithFailWhenLocked makes the first try that finds the lock held fail at once,
// whatever the timeout. It is false by default for Lock and RLock, and true for
// TemporaryFileLock, PIDFileLock and the semaphores.
func WithFailWhenLocked(fail bool) Option { return func(s *settings) { s.failWhenLocked = fail } }

// WithFlags sets whether the lock is Exclusive (the default) or Shared.
// NonBlocking may be added, and changes nothing: how long to wait is what
// WithTimeout and WithFailWhenLocked say.
func WithFlags(flags LockFlags) Option {
	return func(s *settings) {
		mode, err := flags.mode()
		s.flags, s.lockMode = flags, mode
		if err != nil {
			s.fail(fmt.Errorf("WithFlags: %w", err))
		}
	}
}

// WithMechanism sets the operating system's facility that locks. One that this
// platform lacks makes Acquire fail with ErrUnsupported.
func WithMechanism(m Mechanism) Option {
	return func(s *settings) {
		var err error
		s.mechanism, err = oslock.Resolve(oslock.Mechanism(m))
		s.fail(err)
	}
}

// WithLogger sets where to tell of waits and of fallbacks, at level debug. The
// default is nowhere.
func WithLogger(logger *slog.Logger) Option { return func(s *settings) { s.logger = logger } }

func defaults(opts []Option) settings {
	mechanism, err := oslock.Resolve(oslock.Default)
	s := settings{
		mode:          "a",
		access:        access{write: true, create: true, append: true},
		perm:          0o666,
		timeout:       DefaultTimeout,
		checkInterval: DefaultCheckInterval,
		flags:         Exclusive,
		lockMode:      oslock.Exclusive,
		mechanism:     mechanism,
		err:           err,
	}
	s.apply(opts)
	return s
}

func (s *settings) apply(opts []Option) {
	for _, opt := range opts {
		opt(s)
	}
}

func (s *settings) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// onlyOnce says whether a lock that is held is an answer rather than a reason to
// wait.
func (s *settings) onlyOnce() bool { return s.failWhenLocked || s.timeout == 0 }

func (s *settings) debug(msg string, args ...any) {
	if s.logger != nil {
		s.logger.Debug(msg, args...)
	}
}
