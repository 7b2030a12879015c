package portalocker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// ErrNotDurable says that Commit has published the file, so that every program
// sees it, but that the system did not confirm the last step: after a power failure
// the name may be as it was before, never anything in between.
var ErrNotDurable = errors.New("published, but a power failure may undo it")

// AtomicOption changes how OpenAtomic and WriteFileAtomic work. An option with a
// bad value makes them fail before any file is touched.
type AtomicOption func(*atomicSettings)

// atomicSettings are the sum of the options.
type atomicSettings struct {
	replace bool
	perm    fs.FileMode
	err     error // the first bad option

	// before is called before each step that tests make fail or stop at.
	before func(atomicStep) error
}

// atomicStep is a step on the way of a file to its name.
type atomicStep string

const (
	stepNameless   atomicStep = "create a file without a name"
	stepNamed      atomicStep = "create a file with a temporary name"
	stepSync       atomicStep = "sync the file"
	stepLink       atomicStep = "link"
	stepRename     atomicStep = "rename"
	stepMove       atomicStep = "rename without replacing"
	stepUnlink     atomicStep = "unlink the temporary name"
	stepSyncFolder atomicStep = "sync the folder"
)

// WithReplace lets the destination exist: it is replaced in one step, so that at
// any moment a reader finds the whole old or the whole new content. The new file
// has the old one's permission bits and, as far as the system lets this process
// give them, its owner and group; where the group cannot be kept, the group may do
// no more than others. Access control lists, extended attributes and the bits for
// set-user-ID, set-group-ID and sticky are not kept, and nothing is of a stranger's
// file in a folder like the temporary one, where everybody may put files. Other hard
// links to the old file keep the old content.
//
// What is replaced is the name. A symlink is replaced itself, by a new file that
// has nothing from the link's target, which stays as it is: where others can write
// to the folder, following a link would let them choose the file to overwrite. To
// replace the target, give the path that filepath.EvalSymlinks returns. A
// directory, a device, anything else that is no regular file, and a link to such a
// thing are refused.
func WithReplace() AtomicOption { return func(s *atomicSettings) { s.replace = true } }

// WithAtomicPerm sets the permissions of a file that replaces none, of which the
// system takes the umask. The default is 0666.
func WithAtomicPerm(perm fs.FileMode) AtomicOption {
	return func(s *atomicSettings) {
		s.perm = perm
		if perm != perm.Perm() && s.err == nil {
			s.err = fmt.Errorf("permissions %v: only permission bits can be set", perm)
		}
	}
}

func (s *atomicSettings) step(step atomicStep) error {
	if s.before == nil {
		return nil
	}
	return s.before(step)
}

// AtomicFile is a file that nobody sees before Commit gives it its name, complete
// and on the disk. Until then, or if Commit is never called, the destination is as
// it was.
//
//	f, err := portalocker.OpenAtomic("report.csv")
//	if err != nil {
//		return err
//	}
//	defer f.Close() // does nothing after Commit
//	if err := write(f); err != nil {
//		return err
//	}
//	return f.Commit()
//
// It is safe for goroutines. Commit and Close wait for a Write that has begun, and one
// that begins later fails. They do not wait for a ReadFrom: what that writes meanwhile
// may be part of the published file, or not.
type AtomicFile struct {
	name     string // as it was given
	settings atomicSettings
	draft    draft
	file     *os.File // the draft's
	old      *entry   // the file to be replaced, as it was last seen; nil if there is none

	mu      sync.RWMutex // for reading while a write goes on
	closed  bool
	failure atomic.Pointer[error] // of the first write that failed
}

// OpenAtomic begins a file that is to be published as path. It fails with
// fs.ErrExist if path exists, be it a symlink to nothing, unless WithReplace is
// given; the error is an *fs.PathError.
//
// A relative path is resolved now, and the folder is held open: neither a later
// change of the working directory nor renaming the folder moves the file elsewhere.
// This process must be allowed to read the folder, for its sync, and to write it.
//
// On Linux's usual filesystems the file has no name until it is published, and
// vanishes with the process. Elsewhere it lies beside the destination, as
// .NAME.N.portalocker-tmp with a number N. What a process that was killed has left
// there is removed by the next OpenAtomic of the same path.
func OpenAtomic(path string, opts ...AtomicOption) (*AtomicFile, error) {
	f := &AtomicFile{name: path, settings: atomicSettings{perm: 0o666}}
	for _, opt := range opts {
		opt(&f.settings)
	}
	if err := f.open(newTarget(path)); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: bare(err)}
	}
	return f, nil
}

// WriteFileAtomic writes a file as os.WriteFile does, but publishes it in one step,
// complete and on the disk: a reader finds all of data or what was there before,
// also after a crash. Without WithReplace it fails with fs.ErrExist if path exists.
// A file that replaces none gets the permissions perm less the umask. See OpenAtomic
// and AtomicFile.Commit.
func WriteFileAtomic(path string, data []byte, perm fs.FileMode, opts ...AtomicOption) error {
	f, err := OpenAtomic(path, append([]AtomicOption{WithAtomicPerm(perm)}, opts...)...)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return join(err, f.Close())
	}
	return f.Commit()
}

func (f *AtomicFile) open(t target) (err error) {
	if err := join(f.settings.err, t.err); err != nil {
		return err
	}
	d := &f.draft
	d.settings = &f.settings
	if d.folder, err = openFolder(t.path); err != nil {
		return err
	}
	if err = f.look(); err == nil {
		d.clearAll()
		err = d.create(f.old)
	}
	if err != nil {
		return join(bare(err), d.folder.close())
	}
	f.file = d.file
	return nil
}

// look finds out what is at the destination, and whether it may be published there.
func (f *AtomicFile) look() error {
	found, err := f.draft.lstat(f.draft.base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !f.settings.replace:
		return fs.ErrExist
	case found.mode.IsRegular():
		planted, err := f.draft.plants(found)
		if err == nil && !planted {
			f.old = &found
		}
		return err
	}
	mode := found.mode
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(f.draft.path + f.draft.base)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		mode = info.Mode()
	}
	switch {
	case mode.IsDir():
		return syscall.EISDIR
	case !mode.IsRegular():
		return errors.New("only a regular file can be replaced, and this is something else")
	}
	return nil // a symlink to a regular file
}

// Name is the path of the destination, as it was given to OpenAtomic.
func (f *AtomicFile) Name() string { return f.name }

// Write appends to the file, as os.File.Write does. After a Write, WriteString,
// WriteAt or ReadFrom that failed, Commit fails too: so a program that does not look
// at each error publishes nothing that is incomplete.
func (f *AtomicFile) Write(p []byte) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.file.Write(p)
	return n, f.wrote(err)
}

// WriteString is Write for a string.
func (f *AtomicFile) WriteString(s string) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.file.WriteString(s)
	return n, f.wrote(err)
}

// WriteAt writes at an offset, as os.File.WriteAt does.
func (f *AtomicFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.file.WriteAt(p, off)
	return n, f.wrote(err)
}

// ReadFrom writes what r has until its end, as os.File.ReadFrom does; io.Copy calls
// it. An error of r counts as one of writing.
func (f *AtomicFile) ReadFrom(r io.Reader) (int64, error) {
	n, err := f.readFrom(r)
	return n, f.wrote(err)
}

// Seek sets where the next Write goes, as os.File.Seek does.
func (f *AtomicFile) Seek(offset int64, whence int) (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.file.Seek(offset, whence)
	return n, f.named(err)
}

// wrote keeps the first error for Commit.
func (f *AtomicFile) wrote(err error) error {
	err = f.named(err)
	if err != nil {
		failure := err // &err would have each write allocate
		f.failure.CompareAndSwap(nil, &failure)
	}
	return err
}

// named makes an error of the draft speak of the destination.
func (f *AtomicFile) named(err error) error {
	if e, ok := err.(*fs.PathError); ok && e.Path == f.file.Name() {
		return &fs.PathError{Op: e.Op, Path: f.name, Err: e.Err}
	}
	return err
}

// Commit publishes the file: it syncs the file, gives it its name in one step, and
// syncs the folder, so that the file is there even after a power failure. Either way
// the file is closed then, and nothing temporary is left.
//
// If it fails, the destination is as it was, except if the error is ErrNotDurable:
// then the file is published, and what failed came after that. It is fs.ErrExist if
// the destination has come to exist, unless WithReplace was given; of several that
// race for one path exactly one gets it. It is ErrUnsupported where the filesystem
// has no way to publish without the danger of replacing, and fs.ErrClosed after
// Commit or Close.
func (f *AtomicFile) Commit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.failed(fs.ErrClosed)
	}
	f.closed = true
	if err := f.publish(); err != nil {
		return f.failed(join(bare(err), f.draft.discard()))
	}
	if err := f.draft.settle(); err != nil {
		return f.failed(fmt.Errorf("%w: %w", ErrNotDurable, err))
	}
	return nil
}

func (f *AtomicFile) publish() error {
	if failure := f.failure.Load(); failure != nil {
		return fmt.Errorf("an earlier write failed: %w", bare(*failure))
	}
	if f.settings.replace {
		if err := f.look(); err != nil {
			return err
		}
	}
	if f.old != nil {
		if err := inherit(f.file, *f.old); err != nil {
			return fmt.Errorf("keep the permissions: %w", bare(err))
		}
	}
	err := f.settings.step(stepSync)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return err
	}
	err = f.draft.publish()
	if errors.Is(err, fs.ErrExist) && !f.settings.replace {
		return fs.ErrExist // in the words of the open, on every system
	}
	return err
}

// Close gives the file up: nothing of it is left. After Commit, and after Close, it
// does nothing and returns nil, so it can be deferred in any case.
func (f *AtomicFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	if err := f.draft.discard(); err != nil {
		return &fs.PathError{Op: "close", Path: f.name, Err: err}
	}
	return nil
}

func (f *AtomicFile) failed(err error) error {
	return &fs.PathError{Op: "commit", Path: f.name, Err: err}
}

// bare takes the operation and the temporary name off an error of package os.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
