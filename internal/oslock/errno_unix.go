//go:build unix

package oslock

import (
	"errors"
	"fmt"
	"syscall"
)

// retryEINTR calls f until no signal interrupts it, and sorts its error:
// contention becomes ErrLocked, a facility that the file's filesystem lacks
// becomes errors.ErrUnsupported, and everything else stays what it is.
func retryEINTR(f func() error) error {
	for {
		err := f()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		// POSIX lets fcntl answer EACCES or EAGAIN for a held lock; flock(2)
		// answers EWOULDBLOCK, which is EAGAIN on every platform here but one.
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EACCES):
			return ErrLocked
		case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.EOPNOTSUPP):
			return fmt.Errorf("%w by this filesystem: %w", errors.ErrUnsupported, err)
		}
		return err
	}
}
