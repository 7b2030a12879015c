//go:build unix

package redistest

import (
	"fmt"
	"syscall"
)

// stop pauses the process and waits, where the system can tell, until it is.
func (r *run) stop() error {
	if err := r.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return r.awaitStopped()
}

func (r *run) continueRun() error { return r.signal(syscall.SIGCONT) }

func (r *run) terminate() error { return r.signal(syscall.SIGTERM) }

func (r *run) signal(sig syscall.Signal) error {
	if err := r.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%v to process %d: %w", sig, r.cmd.Process.Pid, err)
	}
	return nil
}
