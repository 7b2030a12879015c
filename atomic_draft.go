package portalocker

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/portalocker/portalocker/internal/oslock"
)

// draft is the file of an AtomicFile before it is published. It has either no name,
// or a temporary one beside its destination. Then the writer has a lock on it: that
// tells a writer that lives from one that was killed, since the system drops the
// lock of the latter. Only who has the lock may rename or unlink a draft, so nobody
// takes it from a living writer.
//
// On Linux a draft gets a temporary name only to replace a file: linkat(2) does not
// replace, and rename(2) takes only what has a name. That is for two system calls;
// a writer that is killed just between them leaves the name behind.
type draft struct {
	folder
	settings *atomicSettings
	file     *os.File
	name     string // the temporary one; "" while there is none
	locked   bool
}

// atomicSystem is what this platform has beyond package os. What it lacks is nil.
type atomicSystem struct {
	nameless     func(d *folder, perm fs.FileMode) (*os.File, error)  // creates a file without a name
	link         func(d *folder, f *os.File, name string) error       // gives it one, if that is free
	move         func(d *folder, from, to string, replace bool) error // renames
	lock, unlock func(f *os.File) error                               // of a draft; never waits
}

const (
	// unusedInARow ends the search for what dead writers have left. Names are taken
	// from the first one on, so only writers that were at one destination at once
	// and of which the first ones lived can have left something behind such a gap.
	unusedInARow = 2

	// maxDrafts ends the search for a temporary name that is free.
	maxDrafts = 1000
)

// splitPath splits a path after the last separator.
func splitPath(path string) (folder, base string, err error) {
	i := len(path)
	for i > 0 && !os.IsPathSeparator(path[i-1]) {
		i--
	}
	folder, base = path[:i], path[i:]
	if base == "" || base == "." || base == ".." {
		return "", "", errors.New("the path must end with the name of a file")
	}
	return folder, base, nil
}

// create makes the draft, without a name where that can be. A draft that is to
// replace a file, old, gets its permissions; it is published with its owner, too.
func (d *draft) create(old *entry) error {
	perm := d.settings.perm
	if old != nil {
		perm = old.mode.Perm()
	}
	if thisSystem.nameless != nil {
		err := d.settings.step(stepNameless)
		if err == nil {
			d.file, err = thisSystem.nameless(&d.folder, perm)
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if old != nil {
		perm = 0o600 // others can open it by its name before it has the old owner
	}
	if err := d.settings.step(stepNamed); err != nil {
		return err
	}
	return d.claim(func(name string) (err error) {
		d.file, err = d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if err != nil {
			return err
		}
		// Before the lock it looks like the draft of a dead writer, so another one
		// may be about to remove it.
		err = d.lock()
		if err == nil && d.locked && !d.holds(d.file, name) {
			err = oslock.ErrLocked
		}
		if err == nil {
			return nil
		}
		_ = oslock.Close(d.file)
		return fs.ErrExist
	})
}

// lock takes the draft's lock, unless the filesystem has none: then nobody can take
// it, and drafts of dead writers stay.
func (d *draft) lock() error {
	err := lockDraft(d.file)
	d.locked = err == nil
	if errors.Is(err, oslock.ErrLocked) {
		return err
	}
	return nil
}

// publish gives the draft its final name. If it fails, the destination is as before.
func (d *draft) publish() error {
	err := d.makePublic()
	if err != nil && d.name != "" && d.holds(d.file, d.base) {
		// It worked. Over NFS a request whose answer was lost is sent again, and the
		// second answer is that the new name exists, or that the old one does not;
		// open(2), O_EXCL.
		return nil
	}
	return err
}

func (d *draft) makePublic() error {
	switch {
	case d.name == "" && !d.settings.replace:
		return d.linkAs(d.base)
	case d.name == "":
		if err := d.lock(); err != nil {
			return err
		}
		if err := d.claim(d.linkAs); err != nil {
			return err
		}
	case !d.settings.replace:
		return d.moveNoReplace()
	}
	return d.moved(stepRename, true)
}

// linkAs gives a draft that has none a name.
func (d *draft) linkAs(name string) error {
	if err := d.settings.step(stepLink); err != nil {
		return err
	}
	return thisSystem.link(&d.folder, d.file, name)
}

// moveNoReplace publishes a draft that has a temporary name. A rename that does not
// replace is one step. Where there is none, a second link is as exclusive, and
// settle removes the first one.
func (d *draft) moveNoReplace() error {
	err := d.moved(stepMove, false)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if linkErr := d.settings.step(stepLink); linkErr != nil {
		err = linkErr
	} else if err = d.folder.link(d.name, d.base); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// EPERM is link(2)'s word for a filesystem without hard links.
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w by this filesystem: it has neither a rename that does not replace nor hard links: %w", ErrUnsupported, bare(err))
	}
	return err
}

// moved renames the draft to its final name.
func (d *draft) moved(step atomicStep, replace bool) error {
	err := d.settings.step(step)
	switch {
	case err != nil:
		return err
	case thisSystem.move != nil:
		err = thisSystem.move(&d.folder, d.name, d.base, replace)
	case replace:
		err = d.rename(d.name, d.base)
	default:
		err = errors.ErrUnsupported
	}
	switch {
	case err == nil:
		d.name = ""
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w (a mount point, such as a file that is bound into a container, cannot be replaced)", bare(err))
	}
	return err
}

// settle ends a draft that is published. The lock ends first: it must not be met by
// those who lock the published file.
func (d *draft) settle() (err error) {
	if d.name != "" {
		if err = d.settings.step(stepUnlink); err == nil {
			err = d.removeName()
		}
	}
	err = join(err, d.letGo())
	syncErr := d.settings.step(stepSyncFolder)
	if syncErr == nil {
		syncErr = d.sync()
	}
	return join(join(err, bare(syncErr)), d.folder.close())
}

// discard removes a draft that is not published.
func (d *draft) discard() (err error) {
	if d.name != "" {
		err = d.removeName()
	}
	return join(join(err, d.letGo()), d.folder.close())
}

func (d *draft) removeName() error {
	err := d.remove(d.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return bare(err)
}

// letGo unlocks the draft and closes it. To close it alone is not enough: see
// hold.drop.
func (d *draft) letGo() (err error) {
	if d.locked {
		err = unlockDraft(d.file)
	}
	return join(err, oslock.Close(d.file))
}

// claim calls take with one temporary name after the other until it does not answer
// fs.ErrExist. The names are few and the same each time, so that writers find what
// dead ones have left without reading the whole folder.
func (d *draft) claim(take func(name string) error) error {
	for n := range maxDrafts {
		name := d.temporary(n)
		for range replacedLimit { // others may clear and take it, too
			err := take(name)
			if err == nil {
				d.name = name
				return nil
			}
			if !errors.Is(err, fs.ErrExist) {
				return err
			}
			if !d.clear(name) {
				break // its writer lives
			}
		}
	}
	return fmt.Errorf("%d files like %s are in the way; remove those that no program writes", maxDrafts, d.temporary(0))
}

// clearAll removes what dead writers have left.
func (d *folder) clearAll() {
	for n, unused := 0, 0; unused < unusedInARow && n < maxDrafts; n++ {
		name := d.temporary(n)
		if _, err := d.lstat(name); errors.Is(err, fs.ErrNotExist) {
			unused++
		} else {
			unused = 0
			d.clear(name)
		}
	}
}

// clear removes a draft whose writer is dead. It reports whether the name is free.
func (d *folder) clear(name string) bool {
	named, err := d.lstat(name)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	if !named.mode.IsRegular() {
		return false
	}
	f, err := d.open(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		f, err = d.open(name, os.O_RDONLY, 0)
	}
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer oslock.Close(f) //nolint:errcheck // nothing was written
	if err := lockDraft(f); err != nil {
		return false
	}
	defer unlockDraft(f) //nolint:errcheck // it is closed anyway
	if !d.holds(f, name) {
		return false // and is somebody else's now
	}
	return d.remove(name) == nil
}

// holds reports whether a name is that of an open file.
func (d *folder) holds(f *os.File, name string) bool {
	opened, err := statFile(f)
	if err != nil {
		return false
	}
	named, err := d.lstat(name)
	return err == nil && sameFile(opened, named)
}

// temporary is the n-th name for a draft. It is shortened where it would not be a
// file name any more, which is 255 bytes on most filesystems, and 255 UTF-16 units
// on others.
func (d *folder) temporary(n int) string {
	const longest = 200
	base := d.base
	if len(base) > longest {
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(base)) // never fails
		base = strings.ToValidUTF8(base[:longest-16], "") + fmt.Sprintf("%016x", sum.Sum64())
	}
	return "." + base + "." + strconv.Itoa(n) + ".portalocker-tmp"
}

// lockDraft takes the lock of a draft, or fails with oslock.ErrLocked at once.
func lockDraft(f *os.File) error {
	if thisSystem.lock != nil {
		return thisSystem.lock(f)
	}
	return withFD(f, func(fd uintptr) error { return oslock.Try(fd, oslock.Default, oslock.Exclusive) })
}

func unlockDraft(f *os.File) error {
	if thisSystem.unlock != nil {
		return thisSystem.unlock(f)
	}
	return withFD(f, func(fd uintptr) error { return oslock.Unlock(fd, oslock.Default) })
}
