//go:build !linux

package proclocks

import (
	"errors"
	"fmt"
	"runtime"
)

// Of tells of the locks of one file.
func Of(string) ([]Lock, error) { return nil, unsupported() }

// All tells of the locks of all files.
func All() ([]Lock, error) { return nil, unsupported() }

func unsupported() error {
	return fmt.Errorf("%w: %s does not tell who holds a lock", errors.ErrUnsupported, runtime.GOOS)
}
