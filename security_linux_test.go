package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// docs/security.md says which of these tests stands for which of its claims.

const (
	stranger = nobody             // the user who attacks
	somebody = 65533              // an ordinary user who is attacked; root is, too
	evilName = "\x1b[31m\a\nevil" // a command's name, up to 15 bytes
)

// newline stands for one in a command to an attacker.
const newline = "\v"

func init() { roles["attack"] = attackRole }

// attackRole is a process of the user stranger, with an evil name, that does what it
// is told, and answers each command with "ok" or "error ...". A command is words that
// tabs separate.
//
//	lock PATH        holds the file by flock
//	ofd PATH         holds it by an OFD lock, whose holder the system does not tell
//	flood PATH       write-locks all bytes that tickets may have
//	crowd PATH N     takes N tickets, each before the last, all before anybody's
//	ring SEED        sends nonsense to every bell, until the input ends
//	swap SEED PATH VICTIM    see swapPath; until the input ends
func attackRole(p *testproc.Peer, _ []string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(evilName), 0); err != nil {
		return err
	}
	if err := become(stranger); err != nil {
		return err
	}
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		words := strings.Split(strings.ReplaceAll(line, newline, "\n"), "\t")
		err := fmt.Errorf("no command %q", words[0])
		switch words[0] {
		case "lock":
			err = attackLock(words[1], func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		case "ofd":
			err = attackLock(words[1], func(fd int) error {
				return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
			})
		case "flood":
			err = attackLock(words[1], func(fd int) error {
				return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 1 << 61})
			})
		case "crowd":
			err = takeTickets(words[1], words[2])
		case "ring":
			p.Say("ok")
			return ringBells(p, words[1])
		case "swap":
			p.Say("ok")
			return swapPath(p, words[1], words[2], words[3])
		}
		if err != nil {
			p.Say("error %v", err)
		} else {
			p.Say("ok")
		}
	}
}

// attacker starts an attackRole and has it do one thing.
func attacker(t *testing.T, command ...string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "attack")
	p.Say("%s", strings.ReplaceAll(strings.Join(command, "\t"), "\n", newline))
	p.Expect("ok")
	return p
}

// attackLock locks a file and leaves it open.
func attackLock(path string, lock func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return lock(fd)
}

func become(user int) error {
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(user), syscall.Setuid(user))
}

func init() { roles["victim"] = victimRole }

// victimRole is a process of the user somebody that tries to take a lock of a kind on
// a path, says "ok" or the error, releases the lock, says how that went, and ends.
func victimRole(p *testproc.Peer, args []string) error {
	if err := become(somebody); err != nil {
		return err
	}
	acquire, release := targetOf(args[0], args[1], portalocker.WithTimeout(0))
	for _, do := range []func() error{func() error { return acquire(context.Background()) }, release} {
		if err := do(); err != nil {
			p.Say("error %v", err)
		} else {
			p.Say("ok")
		}
	}
	return nil
}

// privateKinds are those whose files may lie in a shared folder.
var privateKinds = []string{"temporary", "pid", "semaphore"}

// targetOf makes a lock of a kind, also "semaphore", whose one slot is the path then.
func targetOf(kind, path string, opts ...portalocker.Option) (acquire func(context.Context, ...portalocker.Option) error, release func() error) {
	if kind != "semaphore" {
		l, acquire := newLock(kind, path, opts...)
		return acquire, l.Release
	}
	s := portalocker.NewNamedBoundedSemaphore(1, filepath.Base(path), append(opts,
		portalocker.WithDirectory(filepath.Dir(path)), portalocker.WithFilenamePattern("{name}"))...)
	return func(ctx context.Context, opts ...portalocker.Option) error {
		_, err := s.Acquire(ctx, opts...)
		return err
	}, s.Release
}

// lockedFile is the path that a lock of the kind locks.
func lockedFile(kind, path string) string {
	if kind == "pid" {
		return path + ".lock"
	}
	return path
}

// needRoot skips a test that becomes other users.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		testproc.Skip(t, "root", "run the tests as root, or a second user cannot attack")
	}
}

// stickyDir is a folder as /tmp is: everybody may write to it, and remove only what
// is theirs.
func stickyDir(t *testing.T) string {
	t.Helper()
	needRoot(t)
	return sharedDir(t, 0o777|os.ModeSticky)
}

// precious is a folder with the victim's file, which the stranger may enter, but not
// write to.
func precious(t *testing.T) (dir, file string) {
	t.Helper()
	dir = sharedDir(t, 0o755)
	return dir, newFile(t, filepath.Join(dir, "precious"), "precious", 0o600)
}

// asStranger gives what the test has put somewhere to the stranger, as if they had.
func asStranger(t *testing.T, path string) {
	t.Helper()
	must(t, os.Lchown(path, stranger, stranger))
}
