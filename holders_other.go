//go:build !linux

package portalocker

// Only Linux tells who holds a lock.
func (h *hold) holder() (pid int, command string) { return 0, "" }

func commandOf(int) string { return "" }
