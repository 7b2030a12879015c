package testproc

import (
	"testing"

	"golang.org/x/sys/windows"
)

// NotUnderWine skips a test of what Windows does and Wine does not. Wine's ntdll is
// the one that can tell its version.
func NotUnderWine(t testing.TB, lack string) {
	t.Helper()
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
		t.Skip("Wine: " + lack)
	}
}
