package portalocker_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["replace"] = replaceRole }

// reportEvery is after how many replacements replaceRole says something.
const reportEvery = 100

// replaceRole is a process that replaces a file each time somebody has opened it
// for writing, before that open comes back. That is what a lease gives it: the
// kernel holds up whoever opens the file until the lease is given up; see fcntl(2),
// F_SETLEASE. So no luck is needed: nobody ever gets the file that the path names.
func replaceRole(p *testproc.Peer, args []string) error {
	opened := make(chan os.Signal, 1)
	signal.Notify(opened, unix.SIGIO)
	current, err := leasedFile(args[0])
	if err != nil {
		p.Say("cannot: %v", err)
		return nil
	}
	p.Say("ready")
	go func() {
		for n := 1; ; n++ {
			<-opened
			next, err := leasedFile(args[0])
			if err != nil {
				p.Say("error %v", err)
				return
			}
			_, _ = unix.FcntlInt(current.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
			_ = current.Close()
			current = next
			if n%reportEvery == 0 {
				p.Say("replaced %d", n)
			}
		}
	}()
	_, _ = p.Hear()
	return nil
}

// leasedFile puts a new file with a lease at the path.
func leasedFile(path string) (*os.File, error) {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, nil, 0o600); err != nil {
		return nil, err
	}
	f, err := os.Open(tmp)
	if err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, os.Rename(tmp, path)
}

// startReplacing starts that process, or skips where there are no leases.
func startReplacing(t *testing.T, path string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "replace", path)
	if said := p.Hear(); said != "ready" {
		t.Skipf("leases: %s", said)
	}
	return p
}

// mustEnd waits for the result of an acquisition, which has to come while the file
// is replaced some thousand times more.
func mustEnd(t *testing.T, p *testproc.Process, result <-chan error) error {
	t.Helper()
	for range 50 {
		select {
		case err := <-result:
			return err
		case _, ok := <-p.Lines():
			if !ok {
				t.Fatal("the process that replaces the file has ended")
			}
		case <-time.After(time.Minute):
			t.Fatal("it hangs")
		}
	}
	p.Kill() // then the lock can be had
	<-result
	t.Fatalf("it went on for %d replacements", 50*reportEvery)
	return nil
}

// TestTemporaryFileAlwaysReplaced ends, by whatever it was to end, in an error that
// says what is going on.
func TestTemporaryFileAlwaysReplaced(t *testing.T) {
	for _, kind := range []string{"temporary", "pid"} {
		for name, test := range map[string]struct {
			opts []portalocker.Option
			ends bool // by its context, while the file is being replaced
		}{
			"single try":       {opts: []portalocker.Option{portalocker.WithTimeout(0)}},
			"fail when locked": {opts: []portalocker.Option{portalocker.WithFailWhenLocked(true), portalocker.WithTimeout(portalocker.Forever)}},
			"timeout":          {opts: []portalocker.Option{portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(30 * time.Millisecond)}},
			"context":          {opts: waits, ends: true},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "x")
				locked := path
				if kind == "pid" {
					locked += ".lock"
				}
				p := startReplacing(t, locked)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l, acquire := newLock(kind, path, test.opts...)
				result := make(chan error, 1)
				go func() { result <- acquire(ctx) }()
				if test.ends {
					p.Expect("replaced") // so it has begun, however slow the machine is
					cancel()
				}
				err := mustEnd(t, p, result)
				mustBeLocked(t, err)
				mustSay(t, err, "replac")
				if test.ends && !errors.Is(err, context.Canceled) {
					t.Errorf("%v is not the end of the context", err)
				}
				must(t, l.Release())
				nothingOpen(t, dir)
				p.Kill()
				must(t, acquire(t.Context()))
				must(t, l.Release())
			})
		}
	}
}

// TestReplacedMessageIsOneLine: its path is one that would make two.
func TestReplacedMessageIsOneLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x\ny")
	startReplacing(t, path)
	l := portalocker.NewTemporaryFileLock(path, portalocker.WithTimeout(0))
	_, err := l.Acquire(t.Context())
	mustBeLocked(t, err)
	mustSay(t, err, strconv.Quote(path))
}

// sharing are the options of a temporary lock that is shared.
func sharing(m portalocker.Mechanism) []portalocker.Option {
	return []portalocker.Option{portalocker.WithFlags(portalocker.Shared), portalocker.WithMechanism(m)}
}

// TestTemporaryFileOfTheLast: of those who share the lock, the last one to release it
// unlinks the file, also if that is both of them.
func TestTemporaryFileOfTheLast(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.Flock, portalocker.OFD} {
		t.Run(m.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.lock")
			for range 300 {
				start := make(chan struct{})
				var releases sync.WaitGroup
				for range 2 {
					l := portalocker.NewTemporaryFileLock(path, sharing(m)...)
					_, err := l.Acquire(t.Context())
					must(t, err)
					releases.Go(func() {
						<-start
						if err := l.Release(); err != nil {
							t.Error(err)
						}
					})
				}
				close(start)
				releases.Wait()
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("the file is left: %v", err)
				}
			}
		})
	}
}

// TestTemporaryFileReaders: those who share the lock never find it locked, also while
// one of them looks whether it is the last.
func TestTemporaryFileReaders(t *testing.T) {
	for _, m := range []portalocker.Mechanism{portalocker.Flock, portalocker.OFD} {
		t.Run(m.String(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.lock")
			var readers sync.WaitGroup
			for range 2 {
				readers.Go(func() {
					l := portalocker.NewTemporaryFileLock(path, sharing(m)...)
					for range 1000 {
						if _, err := l.Acquire(t.Context()); err != nil {
							t.Error(err)
							return
						}
						if err := l.Release(); err != nil {
							t.Error(err)
						}
					}
				})
			}
			readers.Wait()
		})
	}
}
