package portalocker_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func slotNames(dir string, names ...string) []string {
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names
}

func TestSemaphoreFilenames(t *testing.T) {
	dir := testproc.Folder(t)
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		{"", []string{"job.00.lock", "job.01.lock"}},
		{"{name}-{number}", []string{"job-0", "job-1"}},
		{"{number:04d}{name}", []string{"0000job", "0001job"}},
		{"{number:3d}", []string{"  0", "  1"}},
		{"{{{name}}}{number:02}", []string{"{job}00", "{job}01"}},
	} {
		opts := []portalocker.Option{portalocker.WithDirectory(dir)}
		if test.pattern != "" {
			opts = append(opts, portalocker.WithFilenamePattern(test.pattern))
		}
		s := portalocker.NewNamedBoundedSemaphore(2, "job", opts...)
		if got, want := s.Filenames(), slotNames(dir, test.want...); !slices.Equal(got, want) {
			t.Errorf("pattern %q: %q, not %q", test.pattern, got, want)
		}
		if err := s.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("pattern %q: %v", test.pattern, err)
		}
	}
	if got, want := portalocker.NewBoundedSemaphore(1).Filenames()[0], filepath.Join(os.TempDir(), "bounded_semaphore.00.lock"); got != want {
		t.Errorf("the deprecated semaphore's first file is %q, not %q", got, want)
	}
	if a, b := portalocker.RandomName(), portalocker.RandomName(); a == b || strings.ContainsAny(a, `/\`) {
		t.Errorf("random names %q and %q", a, b)
	}
}

func TestSemaphoreBadInput(t *testing.T) {
	dir := testproc.Folder(t)
	in := portalocker.WithDirectory(dir)
	pattern := portalocker.WithFilenamePattern
	for what, test := range map[string]struct {
		s   *portalocker.NamedBoundedSemaphore
		say string
	}{
		"maximum 0":          {portalocker.NewNamedBoundedSemaphore(0, "job", in), "at least one slot"},
		"maximum -1":         {portalocker.NewNamedBoundedSemaphore(-1, "job", in), "at least one slot"},
		"empty name":         {portalocker.NewNamedBoundedSemaphore(1, "", in), "the name is empty"},
		"path as name":       {portalocker.NewNamedBoundedSemaphore(1, "a/b", in), "path separator"},
		"backslash":          {portalocker.NewNamedBoundedSemaphore(1, `a\b`, in), "path separator"},
		"no number":          {portalocker.NewNamedBoundedSemaphore(2, "job", in, pattern("{name}")), "without {number}"},
		"unknown field":      {portalocker.NewNamedBoundedSemaphore(1, "job", in, pattern("{nam}")), "{nam}"},
		"lone brace":         {portalocker.NewNamedBoundedSemaphore(1, "job", in, pattern("{name")), `"{"`},
		"pattern with slash": {portalocker.NewNamedBoundedSemaphore(1, "job", in, pattern("x/{number}")), "no file name"},
		"empty pattern":      {portalocker.NewNamedBoundedSemaphore(1, "job", in, pattern("")), "no file name"},
		"empty directory":    {portalocker.NewNamedBoundedSemaphore(1, "job", portalocker.WithDirectory("")), "directory is empty"},
		"bad option":         {portalocker.NewNamedBoundedSemaphore(1, "job", in, portalocker.WithTimeout(-1)), "negative"},
		"shared":             {portalocker.NewNamedBoundedSemaphore(1, "job", in, portalocker.WithFlags(portalocker.Shared)), "cannot be shared"},
		"new file":           {portalocker.NewNamedBoundedSemaphore(1, "job", in, portalocker.WithMode("x")), "the files of a semaphore stay"},
	} {
		_, err := test.s.Acquire(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.say) || !errors.Is(err, portalocker.ErrLock) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("something was created: %v %v", entries, err)
	}
	missing := portalocker.NewNamedBoundedSemaphore(1, "job", portalocker.WithDirectory(filepath.Join(dir, "missing")))
	if _, err := missing.Acquire(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	_, err := portalocker.New(filepath.Join(dir, "x"), in).Acquire(t.Context())
	if err == nil || !strings.Contains(err.Error(), "WithDirectory is for semaphores") {
		t.Errorf("a semaphore's option for a lock: %v", err)
	}
	_, err = portalocker.NewNamedBoundedSemaphore(1, "job", in).Acquire(t.Context(), pattern("{number}"))
	if err == nil || !strings.Contains(err.Error(), "in their constructor") {
		t.Errorf("a constructor's option in Acquire: %v", err)
	}
	_, err = portalocker.NewNamedBoundedSemaphore(1, "job", in).Acquire(t.Context(), portalocker.WithFlags(portalocker.Shared))
	if err == nil || !strings.Contains(err.Error(), "cannot be shared") {
		t.Errorf("a shared slot: %v", err)
	}
}

func TestSemaphoreCounts(t *testing.T) {
	in := portalocker.WithDirectory(testproc.Folder(t))
	const n = 3
	var held []*portalocker.NamedBoundedSemaphore
	taken := map[string]bool{}
	for range n {
		s := portalocker.NewNamedBoundedSemaphore(n, "job", in)
		slot, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, s)
		if err := slot.Do(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("the slot's own lock was to be had again: %v", err)
		}
		for i, name := range s.Filenames() {
			if err := portalocker.New(name, portalocker.WithTimeout(0)).Do(t.Context(), func(context.Context) error { return nil }); err != nil {
				taken[s.Filenames()[i]] = true
			}
		}
	}
	if len(taken) != n {
		t.Errorf("%d of %d slots are taken", len(taken), n)
	}
	s := portalocker.NewNamedBoundedSemaphore(n, "job", in)
	_, err := s.Acquire(t.Context())
	if !errors.Is(err, portalocker.ErrAlreadyLocked) || !strings.Contains(err.Error(), "acquire job: all 3 slots are taken: already locked") {
		t.Errorf("one too many: %v", err)
	}
	if err := held[1].Release(); err != nil {
		t.Fatal(err)
	}
	slot, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The slot's lock is the semaphore's, and may be released by either, once.
	if err := errors.Join(slot.Release(), s.Release(), slot.Release()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context()); err != nil {
		t.Errorf("after a release through the slot: %v", err)
	}
	for _, s := range append(held, s) {
		if err := errors.Join(s.Release(), s.Release()); err != nil {
			t.Error(err)
		}
	}
}

// TestSemaphoreInstance: an instance that has a slot does not get another.
func TestSemaphoreInstance(t *testing.T) {
	s := portalocker.NewNamedBoundedSemaphore(5, "job", portalocker.WithDirectory(testproc.Folder(t)), portalocker.WithFailWhenLocked(false), portalocker.WithTimeout(portalocker.Forever))
	slot, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context(), portalocker.WithTimeout(0)); !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Errorf("acquired twice: %v", err)
	}
	done := make(chan error)
	go func() { done <- s.Do(t.Context(), func(context.Context) error { return nil }) }()
	if err := slot.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestSemaphoreSymlink(t *testing.T) {
	dir := testproc.Folder(t)
	victim := filepath.Join(dir, "victim")
	testproc.Symlink(t, victim, filepath.Join(dir, "job.00.lock"))
	_, err := portalocker.NewNamedBoundedSemaphore(1, "job", portalocker.WithDirectory(dir)).Acquire(t.Context())
	if err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a slot that is a symlink: %v", err)
	}
	if _, err := os.Lstat(victim); err == nil {
		t.Error("the symlink was followed")
	}
}
