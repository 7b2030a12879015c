package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// give runs portalocker with an input.
func give(t *testing.T, input string, args ...string) result {
	t.Helper()
	p := start(t, args...)
	if _, err := p.in.WriteString(input); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	return p.finish()
}

// only fails unless the folder holds one file of that content and nothing else.
func only(t *testing.T, path, content string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("%s holds %q (%v), not %q", path, got, err, content)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("there are %v (%v)", entries, err)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	give(t, "one", "write", path).want(t, 0, "", "")
	only(t, path, "one")
	give(t, "two", "write", path).want(t, statusCannotMake, "", "file already exists (--replace replaces it)")
	only(t, path, "one")
	give(t, "two", "write", "--replace", path).want(t, 0, "", "")
	only(t, path, "two")
	give(t, "", "write", path, "--replace").want(t, 0, "", "")
	only(t, path, "")
	big := strings.Repeat("three", 1_000_000)
	give(t, big, "write", "--replace", "--", path).want(t, 0, "", "")
	only(t, path, big)
}

func TestWritePermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such permissions there")
	}
	path := filepath.Join(testproc.Folder(t), "x")
	permIs := func(want fs.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("it is %v (%v), not %v", info.Mode(), err, want)
		}
	}
	give(t, "one", "write", "--perm", "600", path).want(t, 0, "", "")
	permIs(0o600)
	give(t, "two", "write", "--replace", "--perm", "0777", path).want(t, 0, "", "")
	permIs(0o600)
}

func TestWriteUsage(t *testing.T) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	for _, c := range []struct {
		args []string
		text string
	}{
		{nil, "give one PATH"},
		{[]string{path, path}, "give one PATH"},
		{[]string{""}, "an empty string"},
		{[]string{"--perm", "rw", path}, "octal number"},
		{[]string{"--perm", "1777", path}, "octal number"},
		{[]string{"--perm", "-1", path}, "octal number"},
		{[]string{"--nonsense", path}, "--nonsense"},
	} {
		give(t, "", append([]string{"write"}, c.args...)...).want(t, statusUsage, "", c.text)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("there are %v (%v)", entries, err)
	}
}

func TestWriteCannot(t *testing.T) {
	dir := testproc.Folder(t)
	give(t, "x", "write", filepath.Join(dir, "missing", "x")).want(t, statusCannotMake, "", "(the folder must exist)")
	give(t, "x", "write", "--replace", dir).want(t, statusCannotMake, "", "is a directory")
	give(t, "x", "write", "--replace", dir+string(filepath.Separator)).want(t, statusCannotMake, "", "must end with the name of a file")
	if runtime.GOOS != "windows" {
		give(t, "x", "write", "--replace", os.DevNull).want(t, statusCannotMake, "", "only a regular file can be replaced")

		cmd := portalockerCommand("write", filepath.Join(dir, "x"))
		folder, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close() //nolint:errcheck // nothing was written
		cmd.Stdin = folder
		startCommand(t, cmd).finish().want(t, statusNoInput, "", "cannot read standard input: ")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("there are %v (%v)", entries, err)
	}
}

// TestWriteRace: of several at once, one writes the file.
func TestWriteRace(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "x")
	var writers [8]*process
	for i := range writers {
		writers[i] = start(t, "write", path)
		if _, err := fmt.Fprintf(writers[i].in, "writer %d", i); err != nil {
			t.Fatal(err)
		}
	}
	winner := -1
	for i, p := range writers {
		if r := p.finish(); r.status == 0 && winner < 0 {
			winner = i
		} else {
			r.want(t, statusCannotMake, "", "file already exists")
		}
	}
	only(t, path, fmt.Sprintf("writer %d", winner))
}

func TestWriteStatus(t *testing.T) {
	failed := func(err error) error { return &fs.PathError{Op: "commit", Path: "x", Err: err} }
	for _, c := range []struct {
		err    error
		status int
	}{
		{failed(fs.ErrExist), statusCannotMake},
		{failed(syscall.ENOSPC), statusCannotMake},
		{failed(fs.ErrPermission), statusCannotMake},
		{failed(fs.ErrNotExist), statusCannotMake},
		{failed(portalocker.ErrUnsupported), statusCannotMake},
		{failed(syscall.EIO), statusOS},
		{failed(exhausted[0]), statusOS},
		{failed(fmt.Errorf("%w: %w", portalocker.ErrNotDurable, fs.ErrExist)), statusOS},
		{&exit{status: statusNoInput, err: fs.ErrClosed}, statusNoInput},
		{stopped{syscall.SIGTERM}, statusSignal + int(syscall.SIGTERM)},
	} {
		var end *exit
		if err := writeFailed(c.err); !errors.As(err, &end) || end.status != c.status || !errors.Is(err, c.err) && !errors.Is(end.err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}
