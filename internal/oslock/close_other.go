//go:build !unix

package oslock

import "os"

// Close closes a file that was, or was to be, locked.
func Close(f *os.File) error { return f.Close() }

// Held is never the case here.
func Held(dev, ino uint64, mode Mode) bool { return false }

// Forget has nothing to forget here.
func Forget(dev, ino uint64, fd uintptr) {}
