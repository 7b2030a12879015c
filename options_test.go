package portalocker_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// missingMechanism is one that this platform has not.
func missingMechanism() portalocker.Mechanism {
	if runtime.GOOS == "windows" {
		return portalocker.Flock
	}
	return portalocker.LockFileEx
}

// badOptions are options with a bad value, and what the error says of it.
var badOptions = []struct {
	name   string
	option portalocker.Option
	says   string
}{
	{"negative timeout", portalocker.WithTimeout(-1), "WithTimeout(-1ns)"},
	{"very negative timeout", portalocker.WithTimeout(-portalocker.Forever), "WithTimeout(-"},
	{"no check interval", portalocker.WithCheckInterval(0), "WithCheckInterval(0s)"},
	{"negative check interval", portalocker.WithCheckInterval(-time.Second), "WithCheckInterval(-1s)"},
	{"set-uid", portalocker.WithPerm(0o600 | fs.ModeSetuid), "WithPerm(u"},
	{"sticky by number", portalocker.WithPerm(0o1777), "WithPerm("},
	{"directory", portalocker.WithPerm(0o700 | fs.ModeDir), "WithPerm(d"},
	{"no flags", portalocker.WithFlags(0), "WithFlags"},
	{"shared and exclusive", portalocker.WithFlags(portalocker.Shared | portalocker.Exclusive), "WithFlags"},
	{"only non-blocking", portalocker.WithFlags(portalocker.NonBlocking), "WithFlags"},
	{"unblock", portalocker.WithFlags(portalocker.Unblock), "WithFlags"},
	{"exclusive and unblock", portalocker.WithFlags(portalocker.Exclusive | portalocker.Unblock), "WithFlags"},
	{"unknown flags", portalocker.WithFlags(portalocker.Exclusive | 0x40), "WithFlags"},
	{"empty mode", portalocker.WithMode(""), `mode ""`},
	{"unknown mode", portalocker.WithMode("rw"), `mode "rw"`},
	{"mode of two lines", portalocker.WithMode("a\nb"), `mode "a\nb"`},
	{"missing mechanism", portalocker.WithMechanism(missingMechanism()), missingMechanism().String()},
	{"no mechanism", portalocker.WithMechanism(200), "mechanism 200"},
}

// TestBadOptions: each is reported by Acquire, wherever it was given, before any
// file is touched.
func TestBadOptions(t *testing.T) {
	for _, bad := range badOptions {
		for _, kind := range kinds {
			t.Run(bad.name+"/"+kind, func(t *testing.T) {
				dir := testproc.Folder(t)
				path := filepath.Join(dir, "x")
				mustRefuse := func(err error) {
					t.Helper()
					mustSay(t, err, bad.says)
					mustSay(t, err, "acquire ")
					if _, ok := errors.AsType[*portalocker.LockError](err); !ok || !errors.Is(err, portalocker.ErrLock) {
						t.Errorf("%#v is no LockError that is ErrLock", err)
					}
					if errors.Is(err, portalocker.ErrAlreadyLocked) || strings.Contains(bad.name, "mechanism") != errors.Is(err, portalocker.ErrUnsupported) {
						t.Errorf("%v is of the wrong kind", err)
					}
					unchanged(t, dir, nil)
				}
				l, acquire := newLock(kind, path, bad.option)
				mustRefuse(acquire(t.Context()))
				mustRefuse(acquire(t.Context(), portalocker.WithTimeout(0)))
				ran := false
				mustRefuse(l.Do(t.Context(), func(context.Context) error { ran = true; return nil }))
				if ran {
					t.Error("Do ran its function")
				}

				l, acquire = newLock(kind, path)
				mustRefuse(acquire(t.Context(), bad.option))
				mustRefuse(acquire(t.Context(), bad.option, portalocker.WithTimeout(0)))
				must(t, acquire(t.Context())) // it was for those calls only
				must(t, l.Release())
			})
		}
	}
}

// TestGoodOptions: values at the edge of what is allowed.
func TestGoodOptions(t *testing.T) {
	for name, option := range map[string]portalocker.Option{
		"timeout 0":        portalocker.WithTimeout(0),
		"forever":          portalocker.WithTimeout(portalocker.Forever),
		"nearly forever":   portalocker.WithTimeout(portalocker.Forever - 1),
		"shortest check":   portalocker.WithCheckInterval(1),
		"longest check":    portalocker.WithCheckInterval(portalocker.Forever),
		"nonblocking":      portalocker.WithFlags(portalocker.Exclusive | portalocker.NonBlocking),
		"no logger":        portalocker.WithLogger(nil),
		"mechanism itself": portalocker.WithMechanism(portalocker.DefaultMechanism),
	} {
		for _, kind := range kinds {
			l, acquire := newLock(kind, filepath.Join(testproc.Folder(t), "x"), option)
			if err := acquire(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			must(t, l.Release())
		}
	}
}

// TestEndedContext: a context that has ended is an error before any file is
// touched, also when the lock is free.
func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the cause")
	cancel(cause)
	for _, kind := range kinds {
		dir := testproc.Folder(t)
		l, acquire := newLock(kind, filepath.Join(dir, "x"))
		for _, err := range []error{acquire(ctx), l.Do(ctx, func(context.Context) error { t.Error("Do ran"); return nil })} {
			if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || !errors.Is(err, portalocker.ErrLock) {
				t.Errorf("%s: %v", kind, err)
			}
			if errors.Is(err, portalocker.ErrAlreadyLocked) {
				t.Errorf("%s: %v, and nobody has looked", kind, err)
			}
		}
		unchanged(t, dir, nil)
	}
}

// TestOptionsOfOneCall hold for that call only, each of them.
func TestOptionsOfOneCall(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	l := portalocker.New(path, portalocker.WithTimeout(0))
	write := func(mode portalocker.Mode, text, want string) {
		t.Helper()
		var opts []portalocker.Option
		if mode != "" {
			opts = append(opts, portalocker.WithMode(mode))
		}
		f, err := l.Acquire(t.Context(), opts...)
		must(t, err)
		_, err = f.WriteString(text)
		must(t, err)
		must(t, l.Release())
		mustHold(t, path, want)
	}
	write("", "one ", "one ")
	write("w", "two ", "two ")
	write("", "three", "two three")

	other := portalocker.New(path, portalocker.WithFlags(portalocker.Shared))
	_, err := other.Acquire(t.Context())
	must(t, err)
	_, err = l.Acquire(t.Context(), portalocker.WithFlags(portalocker.Shared))
	must(t, err)
	must(t, l.Release())
	_, err = l.Acquire(t.Context())
	mustBeLocked(t, err)

	// A call that waits, and then one that does not: the first ends by its context,
	// the second at once, as its error tells.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = l.Acquire(ctx, portalocker.WithTimeout(portalocker.Forever))
	mustBeLocked(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that waits for ever: %v", err)
	}
	_, err = l.Acquire(t.Context())
	mustBeLocked(t, err)
	if e, _ := errors.AsType[*portalocker.LockError](err); e.Waited != 0 {
		t.Errorf("a single try waited for %v", e.Waited)
	}
	must(t, other.Release())
}

// TestDefaults: which kinds fail at once when the lock is held, and which wait. A
// wait is told by its end: here that of its context.
func TestDefaults(t *testing.T) {
	for kind, waits := range map[string]bool{"lock": true, "rlock": true, "temporary": false, "pid": false} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(testproc.Folder(t), "x")
			l, acquire := newLock(kind, path)
			must(t, acquire(t.Context()))
			_, again := newLock(kind, path)
			ended := func(opts ...portalocker.Option) bool {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // must not be over when it begins
				defer cancel()
				err := again(ctx, opts...)
				mustBeLocked(t, err)
				return errors.Is(err, context.DeadlineExceeded)
			}
			if ended() != waits {
				t.Errorf("by default: waits is %v", !waits)
			}
			if !ended(portalocker.WithFailWhenLocked(false)) {
				t.Error("it fails at once although it should wait")
			}
			if ended(portalocker.WithFailWhenLocked(true), portalocker.WithTimeout(portalocker.Forever)) {
				t.Error("it waits although it should fail at once")
			}
			if ended(portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(0)) {
				t.Error("it waits with a timeout of 0")
			}
			must(t, l.Release())
		})
	}
	if portalocker.DefaultTimeout != 5*time.Second || portalocker.DefaultCheckInterval != 250*time.Millisecond {
		t.Error("the defaults are not Python portalocker's")
	}
}

// TestLogger hears of nothing in daily life, and of waits.
func TestLogger(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := portalocker.New(filepath.Join(testproc.Folder(t), "x"), portalocker.WithLogger(logger))
	for range 3 {
		_, err := l.Acquire(t.Context())
		must(t, err)
		must(t, l.Release())
	}
	if log.Len() > 0 {
		t.Errorf("it says %q", log.String())
	}
	other := portalocker.New(l.Path())
	_, err := other.Acquire(t.Context())
	must(t, err)
	defer other.Release() //nolint:errcheck // Windows cannot remove its file before
	if _, err := l.Acquire(t.Context(), portalocker.WithTimeout(200*time.Millisecond)); err == nil {
		t.Fatal("held twice")
	}
	for _, said := range []string{"waiting", "wait is over", "acquired=false"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("of a wait it says %q, which is without %q", log.String(), said)
		}
	}
}

func TestMechanismNames(t *testing.T) {
	for m, name := range map[portalocker.Mechanism]string{
		portalocker.DefaultMechanism: "default",
		portalocker.Flock:            "flock",
		portalocker.OFD:              "ofd",
		portalocker.POSIX:            "posix",
		portalocker.LockFileEx:       "lockfileex",
		77:                           "mechanism 77",
	} {
		if m.String() != name {
			t.Errorf("%q is not %q", m, name)
		}
	}
}
