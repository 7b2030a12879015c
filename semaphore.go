package portalocker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/portalocker/portalocker/internal/oslock"
)

// NamedBoundedSemaphore lets at most a number of holders in at a time, among all
// processes that use the same name, maximum, directory and pattern. Each of its
// slots is a lock file, and to hold the semaphore is to hold one of them, so a
// slot is free as soon as its holder dies. The files stay.
//
// Its names and places are those of Python portalocker's NamedBoundedSemaphore.
//
// An instance holds at most one slot; it is safe for goroutines in the way of
// Lock: to acquire an instance that holds a slot waits until it is released.
type NamedBoundedSemaphore struct {
	name     string
	slots    []target
	settings settings
	gate     chan struct{} // has one element from the begin of an acquisition to the end of the release
	known    knowledge     // belongs to who has the gate
	last     int           // the slot that was had last, -1 for none; belongs to who has the gate

	mu   sync.Mutex
	slot *Lock // nil while none is held
}

// NewNamedBoundedSemaphore makes a semaphore of maximum slots. Its files are in the
// system's temporary directory, or WithDirectory's, and are called
// "{name}.{number:02d}.lock", or by WithFilenamePattern's pattern, with numbers
// from 0. The name may be anything but empty or a path; RandomName makes one
// that nobody else uses.
//
// A slot has one holder, so WithFlags(Shared) is an error, and so is the mode "x", as
// the files stay. A semaphore without a free slot makes Acquire fail at once; to wait, give
// WithFailWhenLocked(false). Symlinks are refused as NewTemporaryFileLock does.
func NewNamedBoundedSemaphore(maximum int, name string, opts ...Option) *NamedBoundedSemaphore {
	s := defaults(nil)
	s.failWhenLocked = true
	s.directory = os.TempDir()
	s.pattern = "{name}.{number:02d}.lock"
	s.slots = true
	s.apply(opts)
	sem := &NamedBoundedSemaphore{name: name, settings: s, gate: make(chan struct{}, 1), last: -1}
	switch {
	case maximum < 1:
		sem.settings.fail(fmt.Errorf("a maximum of %d: a semaphore needs at least one slot", maximum))
	case name == "":
		sem.settings.fail(errors.New("the name is empty; RandomName makes one that nobody else uses"))
	case strings.ContainsAny(name, `/\`) || strings.ContainsRune(name, filepath.Separator):
		sem.settings.fail(fmt.Errorf("the name %q has a path separator; WithDirectory says where the files are", name))
	default:
		sem.slots = make([]target, maximum)
		for i := range sem.slots {
			file, err := expandPattern(s.pattern, name, i)
			sem.settings.fail(err)
			sem.slots[i] = newTarget(filepath.Join(s.directory, file))
			sem.slots[i].private = true
		}
		if maximum > 1 && sem.slots[0].path == sem.slots[1].path {
			sem.settings.fail(fmt.Errorf("WithFilenamePattern(%q): without {number} all slots are one file", s.pattern))
		}
	}
	return sem
}

// RandomName makes a name for a semaphore that nobody else uses: to be handed to
// the processes that shall share it.
func RandomName() string {
	return "bounded_semaphore." + rand.Text()
}

// WithDirectory sets where a semaphore's files are; for semaphores only. The
// directory must exist. The default is os.TempDir().
func WithDirectory(dir string) Option {
	return func(s *settings) {
		s.directory = dir
		if dir == "" {
			s.fail(errors.New("WithDirectory: the directory is empty"))
		}
		s.forSemaphores("WithDirectory")
	}
}

// WithFilenamePattern sets the names of a semaphore's files, in the language of
// Python's str.format: {name} and {number}, which may have a width, as in
// {number:02d}; {{ and }} are braces. For semaphores only. The default is
// "{name}.{number:02d}.lock".
func WithFilenamePattern(pattern string) Option {
	return func(s *settings) {
		s.pattern = pattern
		s.forSemaphores("WithFilenamePattern")
	}
}

func (s *settings) forSemaphores(option string) {
	if !s.slots {
		s.fail(fmt.Errorf("%s is for semaphores, in their constructor", option))
	}
}

// Filenames gives the paths of the slots' files, in the order of their numbers.
func (s *NamedBoundedSemaphore) Filenames() []string {
	names := make([]string, len(s.slots))
	for i := range s.slots {
		names[i] = s.slots[i].path
	}
	return names
}

// Acquire takes a free slot, and gives its lock, which is held; to release that
// lock is to release the semaphore. It waits, and fails, in the way of
// Lock.Acquire; processes that wait get slots in the order in which they came,
// where Lock keeps one.
//
// The search begins at the slot that this instance had last, or at random, so
// that many processes do not all try the same ones.
func (s *NamedBoundedSemaphore) Acquire(ctx context.Context, opts ...Option) (*Lock, error) {
	var first target
	if len(s.slots) > 0 {
		first = s.slots[0] // where the processes queue
	}
	first.name = s.name
	a, err := newAcquisition(ctx, &first, &s.settings, append(append([]Option{inAcquire}, opts...), slotAlone), &s.known)
	if err != nil {
		return nil, err
	}
	if err := a.enter(ctx, s.gate, s.holds); err != nil {
		return nil, err
	}
	slot, err := s.acquire(ctx, a)
	a.tellOfEnd(err)
	if err != nil {
		<-s.gate
		return nil, err
	}
	slot.settings = s.settings
	slot.released = func() {
		s.mu.Lock()
		s.slot = nil
		s.mu.Unlock()
		<-s.gate
	}
	s.mu.Lock()
	s.slot = slot
	s.mu.Unlock()
	return slot, nil
}

// inAcquire makes the options of a semaphore's files an error: they are settled.
func inAcquire(s *settings) { s.slots = false }

// slotAlone is the last option of every semaphore's acquisition.
func slotAlone(s *settings) {
	switch {
	case s.lockMode == oslock.Shared:
		s.fail(errors.New("a slot has one holder, so its lock cannot be shared"))
	case s.access.excl:
		s.fail(fmt.Errorf("WithMode(%q): the files of a semaphore stay, so they cannot be new ones each time", string(s.mode)))
	}
}

func (s *NamedBoundedSemaphore) acquire(ctx context.Context, a *acquisition) (*Lock, error) {
	search := &slotSearch{acquisition: a, slots: s.slots, next: s.last}
	if s.last < 0 {
		search.next = mathrand.IntN(len(s.slots))
	}
	if err := search.run(ctx); err != nil {
		return nil, err
	}
	if a.access.truncate {
		if err := search.hold.file.Truncate(0); err != nil {
			return nil, join(err, search.hold.drop())
		}
	}
	s.last = search.found
	slot := newLock(s.slots[search.found], s.settings)
	slot.gate <- struct{}{}
	slot.held = search.hold
	return slot, nil
}

func (s *NamedBoundedSemaphore) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slot != nil
}

// Release releases the slot that is held; without one it does nothing.
func (s *NamedBoundedSemaphore) Release() error {
	s.mu.Lock()
	slot := s.slot
	s.mu.Unlock()
	if slot == nil {
		return nil
	}
	return slot.Release()
}

// Do acquires a slot, runs fn, and releases the slot; see Lock.Do.
func (s *NamedBoundedSemaphore) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	slot, err := s.Acquire(ctx)
	if err != nil {
		return err
	}
	return do(ctx, nil, fn, slot.Release)
}

// BoundedSemaphore is a NamedBoundedSemaphore with the name "bounded_semaphore",
// which all programs share that use it.
//
// Deprecated: use NamedBoundedSemaphore with a name of your own, or programs that
// have nothing to do with each other share the slots. It is here since Python
// portalocker has it.
type BoundedSemaphore struct{ *NamedBoundedSemaphore }

// NewBoundedSemaphore makes a BoundedSemaphore; see NewNamedBoundedSemaphore.
func NewBoundedSemaphore(maximum int, opts ...Option) *BoundedSemaphore {
	return &BoundedSemaphore{NewNamedBoundedSemaphore(maximum, "bounded_semaphore", opts...)}
}
