//go:build unix && !linux

package portalocker

import (
	"io"

	"golang.org/x/sys/unix"
)

// seemsFit is false for a pipe or a socket, and costs less than a look at the kind
// of the file.
func seemsFit(fd int) bool {
	_, err := unix.Seek(fd, 0, io.SeekCurrent)
	return err == nil
}
