//go:build !linux

package portalocker

import (
	"syscall"
	"time"
)

// Tickets need locks that belong to an open file and are apart from flock, which
// only Linux has: elsewhere processes are served in no order.
const ticketWindow = 1

type ticketQueue struct {
	conn    syscall.RawConn
	arrival int64
}

func arrival(time.Time) int64              { return 0 }
func localFilesystem(syscall.RawConn) bool { return false }
func (*ticketQueue) rank(int) (int, int64) { return 0, 0 }
func (*ticketQueue) join()                 {}
func (*ticketQueue) leave()                {}
