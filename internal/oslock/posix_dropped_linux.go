package oslock

import (
	"bytes"
	"fmt"
	"os"
)

// posixDropped says that this process has no POSIX lock by this descriptor. The
// fdinfo of the descriptor lists it; see proc_pid_fdinfo(5).
func posixDropped(fd uintptr) bool {
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	return err == nil && !bytes.Contains(info, []byte(": POSIX "))
}
