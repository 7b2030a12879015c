//go:build !linux

package portalocker

import (
	"time"

	"github.com/portalocker/portalocker/internal/notify"
)

// Tickets need locks that belong to an open file and are apart from flock, which
// only Linux has: elsewhere processes are served in no order.
const ticketWindow, firstTicket = 1, 0

type ticketQueue struct {
	fd      uintptr
	id      fileID
	arrival int64
}

func arrival(time.Time) int64               { return 0 }
func localFilesystem(uintptr) bool          { return false }
func (*ticketQueue) ahead() (int, int64)    { return 0, 0 }
func (*ticketQueue) join(bool) *notify.Bell { return nil }
func (*ticketQueue) leave() int64           { return 0 }
func (*ticketQueue) ring(int64)             {}
func (*ticketQueue) stir(int64)             {}
func tell(uintptr) error                    { return nil }
