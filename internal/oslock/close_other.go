//go:build !unix

package oslock

import "os"

// Close closes a file that was, or was to be, locked by the mechanism.
func Close(f *os.File, _ Mechanism) error { return f.Close() }
