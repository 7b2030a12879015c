//go:build unix

package portalocker_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["atomic as nobody"] = atomicAsNobody }

// atomicAsNobody is a process that becomes another user, if it is root, and writes
// a file. Its arguments are the way and the path, and "replace".
func atomicAsNobody(p *testproc.Peer, args []string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	opts := []portalocker.AtomicOption{wayNamed(args[0]).before(nil)}
	if len(args) > 2 {
		opts = append(opts, portalocker.WithReplace())
	}
	if err := portalocker.WriteFileAtomic(args[1], []byte("new"), 0o666, opts...); err != nil {
		p.Say("error %v", err)
	} else {
		p.Say("ok")
	}
	return nil
}

// withUmask sets the umask until the end of the test.
func withUmask(t *testing.T, mask int) {
	old := unix.Umask(mask)
	t.Cleanup(func() { unix.Umask(old) })
}

func permOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Mode()
}

// TestAtomicUmask: a new file has what was asked for, less the umask.
func TestAtomicUmask(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		for _, c := range []struct {
			umask      int
			perm, want fs.FileMode
		}{
			{0o022, 0o666, 0o644}, {0, 0o666, 0o666}, {0o077, 0o777, 0o700}, {0o027, 0o604, 0o600}, {0o022, 0o400, 0o400}, {0o022, 0, 0},
		} {
			withUmask(t, c.umask)
			for _, replace := range []bool{false, true} {
				path := filepath.Join(dir, "x")
				opts := []portalocker.AtomicOption{w.before(nil)}
				if replace {
					opts = append(opts, portalocker.WithReplace())
				}
				must(t, portalocker.WriteFileAtomic(path, nil, c.perm, opts...))
				if got := permOf(t, path); got != c.want {
					t.Errorf("%v with umask %#o gives %v", c.perm, c.umask, got)
				}
				must(t, os.Remove(path))
			}
		}
		withUmask(t, 0o002)
		f, err := portalocker.OpenAtomic(filepath.Join(dir, "x"), w.before(nil))
		must(t, err)
		must(t, f.Commit())
		if got := permOf(t, filepath.Join(dir, "x")); got != 0o664 {
			t.Errorf("by default it is %v", got)
		}
	})
}

// TestAtomicKeepsPermissions: those that the replaced file has when it is
// replaced. Nobody can read the new content before who might not read the old.
func TestAtomicKeepsPermissions(t *testing.T) {
	withUmask(t, 0o022)
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		for perm, want := range map[fs.FileMode]fs.FileMode{
			0o600: 0o600, 0o640: 0o640, 0o666: 0o666, 0o777: 0o777, 0o444: 0o444, 0o604: 0o604,
			0o755 | fs.ModeSetuid: 0o755, 0o755 | fs.ModeSetgid: 0o755, 0o755 | fs.ModeSticky: 0o755,
		} {
			newFile(t, path, "old", perm)
			f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), portalocker.WithAtomicPerm(0o640), w.before(nil))
			must(t, err)
			for name := range strings.FieldsSeq(names(t, dir)) {
				if mode := permOf(t, filepath.Join(dir, name)); isDraft(name) && mode != 0o600 {
					t.Errorf("%s is %v before it replaces a file of %v", name, mode, perm)
				}
			}
			must(t, f.Commit())
			published(t, path, "")
			if got := permOf(t, path); got != want {
				t.Errorf("it replaces a file of %v by one of %v", perm, got)
			}
			must(t, os.Remove(path))
		}
		for _, change := range []func() (want fs.FileMode){
			func() fs.FileMode { must(t, os.Chmod(path, 0o620)); return 0o620 },
			func() fs.FileMode { must(t, os.Remove(path)); return 0o602 },
		} {
			newFile(t, path, "old", 0o602)
			f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
			must(t, err)
			want := change()
			must(t, f.Commit())
			if got := permOf(t, path); got != want {
				t.Errorf("it is %v, not %v", got, want)
			}
		}
	})
}

// TestAtomicOwner: root keeps the owner. Others cannot, and then the group of the
// new file gets no more than others had.
func TestAtomicOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			dir := sharedDir(t, 0o777)
			path := filepath.Join(dir, "x")
			ownerOf := func() [2]uint32 {
				info, err := os.Stat(path)
				must(t, err)
				st := info.Sys().(*syscall.Stat_t)
				return [2]uint32{st.Uid, st.Gid}
			}
			newFile(t, path, "old", 0o640)
			must(t, os.Chown(path, nobody, 4242))
			must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o666, portalocker.WithReplace(), w.before(nil)))
			published(t, path, "new")
			if got := ownerOf(); got != [2]uint32{nobody, 4242} || permOf(t, path) != 0o640 {
				t.Errorf("root made it one of %v, %v", got, permOf(t, path))
			}

			for perm, want := range map[fs.FileMode]fs.FileMode{0o660: 0o600, 0o664: 0o644, 0o646: 0o646, 0o777: 0o777} {
				newFile(t, path, "old", perm)
				must(t, os.Chown(path, 0, 0))
				p := testproc.Start(t, "atomic as nobody", w.name, path, "replace")
				p.Expect("ok")
				must(t, p.Wait())
				published(t, path, "new")
				if got := ownerOf(); got != [2]uint32{nobody, nobody} || permOf(t, path) != want {
					t.Errorf("of %v, another user made one of %v, %v", perm, got, permOf(t, path))
				}
				must(t, os.Remove(path))
			}
		})
	}
}

// TestAtomicPlanted: in a folder where everybody may put files, a stranger does not
// get the file by having been there first.
func TestAtomicPlanted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a file of somebody else")
	}
	withUmask(t, 0o022)
	for _, w := range ways {
		for folder, want := range map[fs.FileMode]struct {
			uid  uint32
			perm fs.FileMode
		}{0o777 | fs.ModeSticky: {0, 0o600}, 0o755 | fs.ModeSticky: {nobody, 0o666}, 0o777: {nobody, 0o666}} {
			dir := t.TempDir()
			must(t, os.Chmod(dir, folder))
			path := newFile(t, filepath.Join(dir, "x"), "old", 0o666)
			must(t, os.Chown(path, nobody, nobody))
			must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o600, portalocker.WithReplace(), w.before(nil)))
			published(t, path, "new")
			info, err := os.Stat(path)
			must(t, err)
			if uid := info.Sys().(*syscall.Stat_t).Uid; uid != want.uid || info.Mode() != want.perm {
				t.Errorf("%s, in a folder of %v: it is user %d's, %v", w.name, folder, uid, info.Mode())
			}
		}
	}
}

// TestAtomicReadOnlyFolder: the error names the file, which stays as it is.
func TestAtomicReadOnlyFolder(t *testing.T) {
	for _, w := range ways {
		for _, replace := range [][]string{nil, {"replace"}} {
			dir := sharedDir(t, 0o555)
			path := filepath.Join(dir, "x")
			if replace != nil {
				inReadOnly(t, dir, "x", "old", 0o666)
			}
			before := snapshot(t, dir)
			p := testproc.Start(t, "atomic as nobody", append([]string{w.name, path}, replace...)...)
			if said := p.Expect("error open " + path); said != ": permission denied" {
				t.Errorf("%s %v: got %q", w.name, replace, said)
			}
			must(t, p.Wait())
			unchanged(t, dir, before)
		}
	}
}

// TestAtomicSymlink: the link is replaced, by a file that takes nothing from what
// it pointed to.
func TestAtomicSymlink(t *testing.T) {
	withUmask(t, 0o022)
	overWays(t, func(t *testing.T, dir string, w way) {
		elsewhere := t.TempDir()
		target := newFile(t, filepath.Join(elsewhere, "target"), "precious", 0o666)
		must(t, os.Symlink(target, filepath.Join(elsewhere, "again")))
		before := snapshot(t, elsewhere)
		path := filepath.Join(dir, "x")
		for _, to := range []string{target, filepath.Join(elsewhere, "again"), filepath.Join(elsewhere, "missing"), "x2"} {
			must(t, os.Symlink(to, path))
			err := portalocker.WriteFileAtomic(path, []byte("new"), 0o640, w.before(nil))
			mustBeExist(t, err, path)
			must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o640, portalocker.WithReplace(), w.before(nil)))
			published(t, path, "new")
			if got := permOf(t, path); got != 0o640 {
				t.Errorf("it is %v", got)
			}
			unchanged(t, elsewhere, before)
			must(t, os.Remove(path))
		}
		// The link in the middle of a path is followed, as everywhere.
		must(t, os.Symlink(dir, filepath.Join(elsewhere, "dir")))
		must(t, portalocker.WriteFileAtomic(filepath.Join(elsewhere, "dir", "x"), []byte("new"), 0o640, w.before(nil)))
		published(t, path, "new")
	})
}

// TestAtomicReplacesOnlyFiles: what is no regular file stays, also if it comes
// between the open and the commit, and a link to one stays too.
func TestAtomicReplacesOnlyFiles(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		elsewhere := t.TempDir()
		pipe := filepath.Join(elsewhere, "pipe")
		must(t, unix.Mkfifo(pipe, 0o666))
		socket := filepath.Join(dir, "socket")
		listener, err := net.Listen("unix", socket)
		must(t, err)
		defer listener.Close() //nolint:errcheck // the test is over
		path := filepath.Join(dir, "x")
		const isFolder, isOther = ": is a directory", ": only a regular file can be replaced"
		for _, c := range []struct {
			text   string
			appear func() error
		}{
			{isFolder, func() error { return os.Mkdir(path, 0o777) }},
			{isFolder, func() error { return os.Symlink(elsewhere, path) }},
			{isOther, func() error { return unix.Mkfifo(path, 0o666) }},
			{isOther, func() error { return os.Symlink(pipe, path) }},
			{isOther, func() error { return os.Link(socket, path) }},
			{isOther, func() error { return os.Symlink(os.DevNull, path) }},
		} {
			f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
			must(t, err)
			must(t, c.appear())
			before := snapshot(t, path)
			mustSay(t, inTime(t, f.Commit), "commit "+path+c.text)
			_, err = portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
			mustSay(t, err, "open "+path+c.text)
			unchanged(t, path, before)
			if found := names(t, dir); found != "socket x" {
				t.Errorf("there are %s", found)
			}
			must(t, os.Remove(path))
		}
		// A pipe in the place of the folder must not be waited for.
		err = inTime(t, func() error { return portalocker.WriteFileAtomic(filepath.Join(pipe, "x"), nil, 0o666, w.before(nil)) })
		mustSay(t, err, "not a directory")
		// Nor one with a temporary name.
		must(t, unix.Mkfifo(filepath.Join(dir, ".x.0.portalocker-tmp"), 0o666))
		must(t, inTime(t, func() error {
			return portalocker.WriteFileAtomic(path, []byte("new"), 0o666, portalocker.WithReplace(), w.before(nil))
		}))
		mustHold(t, path, "new")
	})
}

// TestAtomicFolderMoves: the file is published in the folder that was opened.
func TestAtomicFolderMoves(t *testing.T) {
	for _, w := range ways {
		for _, opts := range [][]portalocker.AtomicOption{nil, {portalocker.WithReplace()}} {
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o777))
			f, err := portalocker.OpenAtomic(filepath.Join(dir, "a", "x"), append(opts, w.before(nil))...)
			must(t, err)
			must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o777))
			// The draft of another writer, by the same name as this one's.
			must(t, os.WriteFile(filepath.Join(dir, "a", ".x.0.portalocker-tmp"), []byte("other"), 0o666))
			before := snapshot(t, filepath.Join(dir, "a"))
			_, err = f.WriteString("new")
			must(t, err)
			if w.name == "linked" && opts == nil {
				mustSay(t, f.Commit(), "its folder has been moved")
				unchanged(t, filepath.Join(dir, "b"), map[string]string{})
			} else {
				must(t, f.Commit())
				published(t, filepath.Join(dir, "b", "x"), "new")
			}
			unchanged(t, filepath.Join(dir, "a"), before)
		}
	}
}

// TestAtomicLostAnswer: over NFS a link or a rename can have worked and yet fail,
// when it was asked for twice because the first answer was lost.
func TestAtomicLostAnswer(t *testing.T) {
	for _, replace := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		draft := filepath.Join(dir, ".x.0.portalocker-tmp")
		opts := []portalocker.AtomicOption{wayNamed("linked").before(func(step portalocker.AtomicStep) error {
			switch step {
			case portalocker.StepLink:
				must(t, os.Link(draft, path))
				return syscall.EEXIST
			case portalocker.StepRename:
				must(t, os.Rename(draft, path))
				return syscall.ENOENT
			}
			return nil
		})}
		if replace {
			opts = append(opts, portalocker.WithReplace())
		}
		must(t, portalocker.WriteFileAtomic(path, []byte("new"), 0o666, opts...))
		published(t, path, "new")
	}
}
