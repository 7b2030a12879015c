package main

import (
	"errors"
	"syscall"

	"github.com/portalocker/portalocker/redislock"
)

// The classes of errors that the documentation promises. Which fault each needs is in
// check_errors_linux.go.
const (
	gone        = "lost"        // redislock.ErrLost
	unavailable = "unavailable" // redislock.ErrUnavailable
	impatient   = "impatient"   // the same, and the request's own time was up by then
	diskFull    = "full"        // ENOSPC
	noFiles     = "descriptors" // EMFILE
	unexpected  = "unexpected"
)

func classOf(err error) string {
	switch {
	case errors.Is(err, redislock.ErrLost):
		return gone
	case errors.Is(err, redislock.ErrUnavailable):
		return unavailable
	case errors.Is(err, syscall.ENOSPC):
		return diskFull
	case errors.Is(err, syscall.EMFILE):
		return noFiles
	}
	return unexpected
}
