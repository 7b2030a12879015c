package redistest

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent has the process killed when this one ends before it, as a test
// binary does that panics or is killed.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// awaitStopped waits until all threads of the process are stopped: a signal is
// sent before it has worked. WNOWAIT leaves the news of an end to cmd.Wait
// (waitid(2)).
func (r *run) awaitStopped() error {
	for {
		err := unix.Waitid(unix.P_PID, r.cmd.Process.Pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil || errors.Is(err, unix.ECHILD) { // ECHILD: it has ended, and cmd.Wait knows
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for process %d to stop: %w", r.cmd.Process.Pid, err)
		}
	}
}
