package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func TestMessages(t *testing.T) {
	for _, test := range []struct {
		err  portalocker.LockError
		want string
	}{
		{
			portalocker.LockError{Op: "acquire", Path: "job.lock", Err: portalocker.ErrAlreadyLocked,
				HolderPID: 4242, HolderCommand: "backup.sh", Waited: 5 * time.Second},
			"acquire job.lock: already locked by pid 4242 (backup.sh), gave up after 5s",
		},
		{
			portalocker.LockError{Op: "acquire", Path: "job.lock", Err: portalocker.ErrAlreadyLocked},
			"acquire job.lock: already locked",
		},
		{
			portalocker.LockError{Op: "acquire", Path: "job.lock", Err: portalocker.ErrAlreadyLocked, HolderPID: 7},
			"acquire job.lock: already locked by pid 7",
		},
		{
			portalocker.LockError{Op: "acquire", Path: "job.lock", Err: portalocker.ErrAlreadyLocked, HolderCommand: "orphan"},
			"acquire job.lock: already locked",
		},
		{
			portalocker.LockError{Op: "acquire", Path: "/tmp/my job.lock", Err: portalocker.ErrAlreadyLocked, Waited: 1234567891},
			"acquire /tmp/my job.lock: already locked, gave up after 1.235s",
		},
		{
			portalocker.LockError{Op: "release", Path: "x", Err: portalocker.ErrNotHeld},
			"release x: not held",
		},
		{
			portalocker.LockError{Op: "lock", Path: "", Err: portalocker.ErrUnsupported},
			`lock "": unsupported operation`,
		},
		{
			portalocker.LockError{Op: "acquire", Path: "a\nb\x1b[2J\r\u202e\xff", Err: portalocker.ErrAlreadyLocked,
				HolderPID: 1, HolderCommand: "in\nit\a"},
			`acquire "a\nb\x1b[2J\r\u202e\xff": already locked by pid 1 ("in\nit\a")`,
		},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// TestMessageIsOneLine whatever the error wraps: several errors of a release, or
// another package's with a path in it.
func TestMessageIsOneLine(t *testing.T) {
	for _, err := range []error{
		errors.Join(errors.New("one"), errors.New("two")),
		&fs.PathError{Op: "remove", Path: "a\nb\x1b[31m", Err: fs.ErrPermission},
		fmt.Errorf("deep: %w", errors.Join(errors.New("one"), fs.ErrExist)),
	} {
		e := &portalocker.LockError{Op: "release", Path: "x", Err: err}
		mustSay(t, e, "release x: ")
		if !errors.Is(e, err) {
			t.Errorf("%v does not wrap %v", e, err)
		}
	}
}

func TestWraps(t *testing.T) {
	for _, sentinel := range []error{portalocker.ErrAlreadyLocked, portalocker.ErrNotHeld, portalocker.ErrUnsupported, fs.ErrExist} {
		var err error = fmt.Errorf("while deploying: %w", &portalocker.LockError{Op: "acquire", Path: "x", Err: sentinel})
		if !errors.Is(err, sentinel) || !errors.Is(err, portalocker.ErrLock) {
			t.Errorf("%v is not %v and %v", err, sentinel, portalocker.ErrLock)
		}
		for _, other := range []error{portalocker.ErrAlreadyLocked, portalocker.ErrNotHeld, portalocker.ErrUnsupported, context.Canceled} {
			if other != sentinel && errors.Is(err, other) {
				t.Errorf("%v is %v", err, other)
			}
		}
		if e, ok := errors.AsType[*portalocker.LockError](err); !ok || e.Path != "x" {
			t.Errorf("%v is no LockError", err)
		}
	}
	if !errors.Is(portalocker.ErrUnsupported, errors.ErrUnsupported) {
		t.Error("ErrUnsupported is not the standard library's")
	}
	for _, sentinel := range []error{portalocker.ErrAlreadyLocked, portalocker.ErrNotHeld} {
		if errors.Is(sentinel, portalocker.ErrLock) {
			t.Errorf("%v by itself is a LockError", sentinel)
		}
	}
}

// TestWhoAndHowLong: what an error tells of a wait for another process, however
// it ended.
func TestWhoAndHowLong(t *testing.T) {
	cause := errors.New("the user left")
	for _, test := range []struct {
		name    string
		context func(context.Context) (context.Context, context.CancelFunc)
		timeout time.Duration
		is, not []error
		ends    string // as a regular expression
	}{
		{
			name: "single try", is: nil, not: []error{context.Canceled, context.DeadlineExceeded},
			ends: `$`,
		},
		{
			name: "timeout", timeout: 20 * time.Millisecond, not: []error{context.Canceled, context.DeadlineExceeded},
			ends: `, gave up after [\d.]+m?s$`,
		},
		{
			name: "deadline", timeout: portalocker.Forever, is: []error{context.DeadlineExceeded}, not: []error{context.Canceled},
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 100*time.Millisecond)
			},
			ends: `, gave up after [\d.]+m?s: context deadline exceeded$`,
		},
		{
			name: "cancelled", timeout: portalocker.Forever, is: []error{context.Canceled}, not: []error{context.DeadlineExceeded},
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				return ctx, ending(time.AfterFunc(100*time.Millisecond, cancel), cancel)
			},
			ends: `, gave up after [\d.]+m?s: context canceled$`,
		},
		{
			name: "cause", timeout: portalocker.Forever, is: []error{context.Canceled, cause},
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				end := func() { cancel(cause) }
				return ctx, ending(time.AfterFunc(100*time.Millisecond, end), end)
			},
			ends: `, gave up after [\d.]+m?s: context canceled: the user left$`,
		},
		{
			name: "cause of a deadline", timeout: portalocker.Forever, is: []error{context.DeadlineExceeded, cause},
			context: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, 100*time.Millisecond, cause)
			},
			ends: `, gave up after [\d.]+m?s: context deadline exceeded: the user left$`,
		},
	} {
		for _, kind := range kinds {
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				path := filepath.Join(testproc.Folder(t), "x")
				other := holder(t, kind, path)
				ctx := t.Context()
				if test.context != nil {
					var cancel context.CancelFunc
					ctx, cancel = test.context(ctx)
					defer cancel()
				}
				_, acquire := newLock(kind, path, portalocker.WithTimeout(test.timeout), portalocker.WithFailWhenLocked(false))
				err := acquire(ctx)
				mustBeLocked(t, err)
				for _, is := range test.is {
					if !errors.Is(err, is) {
						t.Errorf("%v is not %v", err, is)
					}
				}
				for _, not := range append(test.not, portalocker.ErrNotHeld, portalocker.ErrUnsupported) {
					if errors.Is(err, not) {
						t.Errorf("%v is %v", err, not)
					}
				}
				e, _ := errors.AsType[*portalocker.LockError](err)
				if e.Op != "acquire" || e.Err != portalocker.ErrAlreadyLocked || (e.Waited == 0) != (test.timeout == 0) {
					t.Errorf("%#v", e)
				}
				if test.name == "timeout" && e.Waited < test.timeout {
					t.Errorf("it gave up after %v", e.Waited)
				}
				who := `( by pid \d+)?`
				if runtime.GOOS == "linux" || kind == "pid" {
					who = fmt.Sprintf(` by pid %d`, other.Cmd.Process.Pid)
				}
				if runtime.GOOS == "linux" {
					who += ` \(.+\)`
				}
				// A PID file's lock is its sidecar, but what the user knows is the PID file.
				want := `^acquire ` + regexp.QuoteMeta(path) + `: already locked` + who + test.ends
				if !regexp.MustCompile(want).MatchString(err.Error()) {
					t.Errorf("%q is not like %q", err, want)
				}
			})
		}
	}
}

// ending ends both, the timer that is to cancel and what it is to cancel.
func ending(timer *time.Timer, cancel func()) context.CancelFunc {
	return func() {
		timer.Stop()
		cancel()
	}
}

// TestHolderIsThisProcess: who waits for another goroutine is told so.
func TestHolderIsThisProcess(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			l, acquire := newLock(kind, path)
			must(t, acquire(t.Context()))
			_, again := newLock(kind, path, portalocker.WithTimeout(0))
			err := again(t.Context())
			mustBeLocked(t, err)
			if e, _ := errors.AsType[*portalocker.LockError](err); runtime.GOOS == "linux" && e.HolderPID != os.Getpid() {
				t.Errorf("%v, and this is process %d", err, os.Getpid())
			}
			if kind != "rlock" { // which counts
				err = acquire(t.Context(), portalocker.WithTimeout(0))
				mustBeLocked(t, err)
				mustSay(t, err, fmt.Sprintf("pid %d", os.Getpid()))
			}
			must(t, l.Release())
		})
	}
}

// TestHolderIsAnotherProcess: who stands behind another goroutine that waits is not told
// that this process has the lock.
func TestHolderIsAnotherProcess(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			holder(t, kind, path)
			waits := make(chan struct{}, 1)
			_, acquire := newLock(kind, path, portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever),
				portalocker.WithLogger(slog.New(toldOf{waits})))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- acquire(ctx) }()
			<-waits
			for _, timeout := range []time.Duration{0, time.Millisecond} {
				err := acquire(t.Context(), portalocker.WithTimeout(timeout))
				mustBeLocked(t, err)
				if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID == os.Getpid() {
					t.Errorf("%v, and this is process %d", err, os.Getpid())
				}
			}
			cancel()
			mustBeLocked(t, <-ended)
		})
	}
}

// toldOf is a log whose first line is told of.
type toldOf struct{ first chan<- struct{} }

func (toldOf) Enabled(context.Context, slog.Level) bool { return true }
func (l toldOf) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l toldOf) WithGroup(string) slog.Handler          { return l }

func (l toldOf) Handle(context.Context, slog.Record) error {
	select {
	case l.first <- struct{}{}:
	default:
	}
	return nil
}

// TestRelativePathInMessages: a message speaks of the path as it was given.
func TestRelativePathInMessages(t *testing.T) {
	for _, kind := range kinds {
		t.Chdir(testproc.Folder(t))
		l, acquire := newLock(kind, "x.lock")
		must(t, acquire(t.Context()))
		_, again := newLock(kind, "x.lock", portalocker.WithTimeout(0))
		if err := again(t.Context()); !strings.HasPrefix(err.Error(), "acquire x.lock: already locked") {
			t.Errorf("%s: %v", kind, err)
		}
		must(t, l.Release())
	}
}
