package testproc

import (
	"os"
	"runtime"
	"testing"
)

// Symlink makes a symbolic link. On Windows, where that takes a right that a user
// mostly lacks, the test is skipped without it. Wine 8.0 makes none and says it had:
// CreateSymbolicLinkW is a stub there that returns TRUE.
func Symlink(t testing.TB, to, link string) {
	t.Helper()
	err := os.Symlink(to, link)
	if err == nil {
		_, err = os.Lstat(link)
	}
	switch {
	case err == nil:
	case runtime.GOOS == "windows":
		t.Skipf("no symbolic link can be made here: %v", err)
	default:
		t.Fatal(err)
	}
}
