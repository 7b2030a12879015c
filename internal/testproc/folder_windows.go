package testproc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// Folder makes a folder for the test. When the test and its other cleanups are over,
// the folder is removed with all that is in it; the test fails if that cannot be done.
//
// It does without t.TempDir, which fails under Wine: os.RemoveAll deletes by
// FileDispositionInformationEx, which Wine 8.0 answers with
// STATUS_NOT_IMPLEMENTED ("Invalid function"), and that is none of the errors after
// which package os falls back. os.Remove deletes by DeleteFile, which Wine has.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portalocker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeTree(dir); err != nil {
			t.Errorf("the folder of the test stays: %v", err)
		}
	})
	return dir
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = removeTree(path)
		} else {
			err = removeOne(path)
		}
		if err != nil {
			return err
		}
	}
	return removeOne(dir)
}

// removeOne tries for two seconds, as t.TempDir does: virus scanners and indexers
// open files for moments, and a process that was killed closes its own only some
// time after it can be waited for.
func removeOne(path string) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := os.Remove(path)
		switch {
		case err == nil, errors.Is(err, fs.ErrNotExist):
			return nil
		case pause > time.Second:
			return err
		case !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED):
			return err
		}
		time.Sleep(pause)
	}
}
