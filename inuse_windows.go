package portalocker

import (
	"errors"

	"golang.org/x/sys/windows"
)

// openElsewhere says that a file could not be removed because somebody has it
// open.
func openElsewhere(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}
