//go:build !linux

package oslock_test

import (
	"os"
	"testing"

	"github.com/portalocker/portalocker/internal/oslock"
)

// waitsInKernel cannot know here, so a test that calls it is a little weaker.
func waitsInKernel(*testing.T, oslock.Mechanism, *os.File) {}
