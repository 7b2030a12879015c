package portalocker

import "github.com/portalocker/portalocker/internal/proclocks"

// holder finds who has the lock that h is in want of: a PID and a command name, 0
// and "" where the system does not tell at once. It runs at each try that fails, so
// it does not look for those that inherited the lock, as Holders does.
func (h *hold) holder() (pid int, command string) {
	if h.file == nil {
		return 0, "" // far back in the line of this process, where files are not open yet
	}
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
