//go:build !windows

package testproc

import "testing"

// Folder makes a folder for the test, which is removed at the end as t.TempDir does
// it. It is for tests that run on Windows as well, where t.TempDir may not do.
func Folder(t testing.TB) string {
	t.Helper()
	return t.TempDir()
}
