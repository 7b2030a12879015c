//go:build !unix

package portalocker

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// folder is the directory of a destination.
type folder struct {
	root *os.Root // opens files so that they can be renamed while they are open
	path string   // with a separator at its end
	base string   // the destination
}

// entry is what a name in a folder stands for.
type entry struct {
	mode fs.FileMode
	info fs.FileInfo
}

func openFolder(path string) (d folder, err error) {
	if d.path, d.base, err = splitPath(path); err != nil {
		return d, err
	}
	d.root, err = os.OpenRoot(d.path)
	return d, err
}

func (d *folder) lstat(name string) (entry, error) { return entryOf(os.Lstat(d.path + name)) }

func (d *folder) open(name string, flags int, perm fs.FileMode) (*os.File, error) {
	return d.root.OpenFile(name, flags, perm)
}

func (d *folder) rename(from, to string) error { return os.Rename(d.path+from, d.path+to) }

func (d *folder) link(from, to string) error { return os.Link(d.path+from, d.path+to) }

func (d *folder) remove(name string) error { return os.Remove(d.path + name) }

// sync: a folder cannot be synced by itself here. On Windows the rename does it.
func (d *folder) sync() error { return nil }

func (d *folder) close() error { return d.root.Close() }

func (d *folder) plants(entry) (bool, error) { return false, nil }

func statFile(f *os.File) (entry, error) { return entryOf(f.Stat()) }

func entryOf(info fs.FileInfo, err error) (entry, error) {
	if err != nil {
		return entry{}, err
	}
	return entry{info.Mode(), info}, nil
}

func sameFile(a, b entry) bool { return os.SameFile(a.info, b.info) }

// inherit: Windows has no permission bits but the one for read-only, and such a
// file is not replaced. What else it has comes from the folder.
func inherit(_ *os.File, old entry) error {
	if old.mode.Perm()&0o200 == 0 {
		return errors.New("the file that is to be replaced is read-only")
	}
	return nil
}

// readFrom writes by Write, for which Commit and Close wait. On Windows the Close of an
// os.File may hang for ever if it comes while a Write to it begins: readWriteLock in
// internal/poll of Go 1.26 keeps a reference to a file that is closed between its two
// steps.
func (f *AtomicFile) readFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{f}, r)
}
