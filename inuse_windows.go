package portalocker

import (
	"errors"

	"golang.org/x/sys/windows"
)

// openElsewhere says that a file could not be removed or opened for what others do
// with it: they have it open, or remove it. A file that is removed as soon as its last
// handle is closed can neither be opened nor removed: ERROR_ACCESS_DENIED, which stands
// for STATUS_DELETE_PENDING.
func openElsewhere(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}
