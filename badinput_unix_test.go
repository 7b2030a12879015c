//go:build unix

package portalocker_test

import (
	"context"
	"errors"
	"fmt"
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

func init() { roles["take"] = takeRole }

// takeRole is a process that tries once to take a lock, says "ok", "locked" or
// "error ...", and releases it when it is told to. Its arguments are the kind, the
// path, and any of: nobody (become that user first, if root), shared, mode=...,
// mechanism=....
func takeRole(p *testproc.Peer, args []string) error {
	opts := []portalocker.Option{portalocker.WithTimeout(0)}
	for _, arg := range args[2:] {
		switch name, value, _ := strings.Cut(arg, "="); name {
		case "nobody":
			if os.Getuid() != 0 {
				continue
			}
			if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
				return err
			}
		case "shared":
			opts = append(opts, portalocker.WithFlags(portalocker.Shared))
		case "mode":
			opts = append(opts, portalocker.WithMode(portalocker.Mode(value)))
		case "mechanism":
			opts = append(opts, portalocker.WithMechanism(mechanismNamed(value)))
		default:
			return fmt.Errorf("no argument %q", arg)
		}
	}
	l, acquire := newLock(args[0], args[1], opts...)
	answer := func(err error) {
		switch {
		case err == nil:
			p.Say("ok")
		case errors.Is(err, portalocker.ErrAlreadyLocked):
			p.Say("locked")
		default:
			p.Say("error %s", strings.ReplaceAll(err.Error(), "\n", " | "))
		}
	}
	answer(acquire(context.Background()))
	for {
		if _, ok := p.Hear(); !ok {
			return nil
		}
		answer(l.Release())
	}
}

const nobody = 65534

func mechanismNamed(name string) portalocker.Mechanism {
	m := portalocker.DefaultMechanism
	for m.String() != name {
		m++
	}
	return m
}

// hasMechanism says whether this platform has it.
func hasMechanism(name string) bool {
	_, err := portalocker.New(os.DevNull, portalocker.WithMechanism(mechanismNamed(name))).Acquire(context.Background())
	return !errors.Is(err, portalocker.ErrUnsupported)
}

// taker starts another process that tries to take the lock, and gives its answer.
func taker(t *testing.T, kind, path string, args ...string) (*testproc.Process, string) {
	t.Helper()
	p := testproc.Start(t, "take", append([]string{kind, path}, args...)...)
	return p, p.Hear()
}

// shareWithNobody lets the other user into the test's directory, or skips.
func shareWithNobody(t *testing.T, dir string) {
	t.Helper()
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		must(t, err)
		if os.Getuid() == 0 && info.Mode().Perm()&0o001 == 0 {
			t.Skipf("user %d may not enter %s", nobody, d)
		}
		if d == filepath.Dir(d) {
			return
		}
	}
}

func TestBadInputUnix(t *testing.T) {
	target := func(t *testing.T, dir string) string {
		path := filepath.Join(dir, "target")
		must(t, os.WriteFile(path, []byte("precious"), 0o600))
		return path
	}
	link := func(t *testing.T, dir, to string) string {
		path := filepath.Join(dir, "link")
		must(t, os.Symlink(to, path))
		return path
	}
	for _, b := range []badInput{
		{"long name", func(_ *testing.T, dir string) string {
			return filepath.Join(dir, strings.Repeat("n", 300))
		}, all("file name too long")},
		{"long path", func(_ *testing.T, dir string) string {
			return dir + strings.Repeat("/.", 4000) + "/x"
		}, all("file name too long")},
		{"trailing slash", func(_ *testing.T, dir string) string { return filepath.Join(dir, "new") + "/" },
			map[string]string{"lock": "new/", "rlock": "new/", "temporary": "new/", "pid": "new/"}},
		{"trailing slash after a file", func(t *testing.T, dir string) string { return target(t, dir) + "/" },
			all("directory")}, // with or without "not a"
		{"FIFO", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "fifo")
			must(t, unix.Mkfifo(path, 0o600))
			return path
		}, all("a named pipe")},
		{"socket", func(t *testing.T, dir string) string {
			t.Chdir(dir) // the whole path may be too long for an address
			l, err := net.Listen("unix", "socket")
			must(t, err)
			t.Cleanup(func() { must(t, l.Close()) })
			return filepath.Join(dir, "socket")
		}, all("a socket")},
		{"link to a device", func(t *testing.T, dir string) string { return link(t, dir, "/dev/null") },
			map[string]string{"lock": "a device", "rlock": "a device", "temporary": "symbolic link", "pid": "symbolic link"}},
		{"link to a file", func(t *testing.T, dir string) string { return link(t, dir, target(t, dir)) },
			private("symbolic link")},
		{"link to a directory", func(t *testing.T, dir string) string {
			must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
			return link(t, dir, "folder")
		}, private("symbolic link")},
		{"link to nothing", func(t *testing.T, dir string) string { return link(t, dir, "nothing") },
			private("symbolic link")},
		{"link to itself", func(t *testing.T, dir string) string { return link(t, dir, "link") },
			map[string]string{"lock": "too many", "rlock": "too many", "temporary": "symbolic link", "pid": "symbolic link"}},
	} {
		b.refuses(t)
	}
}

// TestDevice: /dev/null itself, and not for PID files, whose sidecar would come to
// lie in /dev.
func TestDevice(t *testing.T) {
	for _, kind := range []string{"lock", "rlock", "temporary"} {
		for _, mode := range []portalocker.Mode{"r", "w", "a+"} {
			_, acquire := newLock(kind, os.DevNull, portalocker.WithMode(mode))
			mustSay(t, inTime(t, func() error { return acquire(t.Context()) }), "a device")
		}
	}
	if _, err := os.Stat(os.DevNull); err != nil {
		t.Error(err)
	}
}

// TestSwapped: what was a file the last time is a FIFO now, on which nobody waits.
func TestSwapped(t *testing.T) {
	for _, kind := range kinds {
		for _, mode := range []portalocker.Mode{"a", "w", "r"} {
			t.Run(fmt.Sprint(kind, " ", mode), func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "x")
				l, acquire := newLock(kind, path, portalocker.WithMode(mode), portalocker.WithFailWhenLocked(false))
				if mode == "r" {
					must(t, os.WriteFile(path, nil, 0o600))
				}
				must(t, unix.Mkfifo(path+".fifo", 0o600))
				must(t, acquire(t.Context()))
				must(t, l.Release())
				must(t, os.Rename(path+".fifo", path)) // in one step, so at once
				err := inTime(t, func() error { return acquire(t.Context()) })
				mustSay(t, err, "a named pipe")
				if err == nil {
					must(t, l.Release())
				}
				nothingOpen(t, dir)
			})
		}
	}
}

// TestLinkIsFollowed: a Lock on a link and one on its target are one lock; the
// target of a dangling link is made.
func TestLinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	link, target := filepath.Join(dir, "link"), filepath.Join(dir, "target")
	must(t, os.Symlink("target", link))
	l := portalocker.New(link)
	_, err := l.Acquire(t.Context())
	must(t, err)
	if info, err := os.Lstat(target); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the target: %v, %v", info, err)
	}
	_, answer := taker(t, "lock", target)
	if answer != "locked" {
		t.Errorf("the target in another process: %s", answer)
	}
	must(t, l.Release())
	isFree(t, "lock", target)
}

// TestLinkAsFolder: links before the last component are like any folder, and the
// path ends where the system says, not where the names do.
func TestLinkAsFolder(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.MkdirAll(filepath.Join(dir, "real", "deep"), 0o700))
			must(t, os.Symlink("real/deep", filepath.Join(dir, "link")))
			t.Chdir(dir)
			l, acquire := newLock(kind, "link/../x.lock")
			must(t, acquire(t.Context()))
			if _, err := os.Lstat(filepath.Join(dir, "real", "x.lock")); err != nil {
				t.Error(err)
			}
			_, again := newLock(kind, filepath.Join(dir, "real", "x.lock"), portalocker.WithTimeout(0))
			mustBeLocked(t, again(t.Context()))
			must(t, l.Release())
			isFree(t, kind, filepath.Join(dir, "real", "x.lock"))
			if _, err := os.Lstat(filepath.Join(dir, "x.lock")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file where the names would lead: %v", err)
			}
			nothingOpen(t, dir)
		})
	}
}

// TestDirectoryAgain: a directory is locked as often as a file, excludes, and
// cannot be asked for what only a file can do.
func TestDirectoryAgain(t *testing.T) {
	for _, mode := range []portalocker.Mode{"a", "a+", "r", "r+"} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			l := portalocker.New(dir, portalocker.WithMode(mode), portalocker.WithTimeout(0))
			for n := range 3 {
				f, err := l.Acquire(t.Context())
				if err != nil {
					t.Fatalf("time %d: %v", n+1, err)
				}
				if info, err := f.Stat(); err != nil || !info.IsDir() {
					t.Errorf("the file is %v, %v", info, err)
				}
				_, answer := taker(t, "lock", dir)
				if answer != "locked" {
					t.Errorf("in another process: %s", answer)
				}
				must(t, l.Release())
			}
			nothingOpen(t, dir)
		})
	}
	for mode, reason := range map[portalocker.Mode]string{"w": "a directory", "w+": "a directory", "x": "exists"} {
		dir := t.TempDir()
		_, err := portalocker.New(dir, portalocker.WithMode(mode)).Acquire(t.Context())
		mustSay(t, err, reason)
		nothingOpen(t, dir)
	}
}

// TestNewlineInPath: it is a name, and no message speaks two lines because of it.
func TestNewlineInPath(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x\n\x1b[31my.lock")
			l, acquire := newLock(kind, path)
			must(t, acquire(t.Context()))
			_, again := newLock(kind, path, portalocker.WithTimeout(0))
			err := again(t.Context())
			mustBeLocked(t, err)
			mustSay(t, err, `x\n\x1b[31my.lock`)
			must(t, l.Release())
			isFree(t, kind, path)
		})
	}
}
