//go:build !linux

package redistest_test

import (
	"errors"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

func serverRole(*testproc.Peer, []string) error { return errors.ErrUnsupported }

// state cannot be had here.
func state(*testing.T, int) string { return "" }
