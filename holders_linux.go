package portalocker

import "github.com/portalocker/portalocker/internal/proclocks"

// Both name the first ticket; this does not compile if they differ.
var _ = [1]struct{}{}[firstTicket-proclocks.FirstTicket]

// holder finds who has the lock that h is in want of: a PID and a command name, 0
// and "" where the system does not tell at once. It runs at each try that fails, so
// it does not look for those that inherited the lock, as Holders does.
func (h *hold) holder() (pid int, command string) {
	pid = proclocks.HolderPID(h.fd, h.mechanism, h.place.mode)
	return pid, commandOf(pid)
}

// commandOf is a process's command name, "" if it has ended.
func commandOf(pid int) string {
	if pid == 0 {
		return ""
	}
	return proclocks.Command(pid)
}
