package main

import (
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// startTied starts a process that ends with this one, however that ends. Its end comes
// through the channel, as the error of exec.Cmd.Wait.
func startTied(cmd *exec.Cmd) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, end := make(chan error), make(chan error, 1)
	go func() {
		// For prctl(2), PR_SET_PDEATHSIG, the parent is the thread that started the
		// process, so that thread must live until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			end <- cmd.Wait()
			close(end)
		}
	}()
	return end, <-started
}

// stopAndWait stops a process, and returns when it has stopped: a signal is sent
// before it has worked. WNOWAIT leaves the news of an end to whoever waits for that
// (waitid(2)).
func stopAndWait(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// clock is the time that all processes of the machine share, in nanoseconds
// (clock_gettime(2), CLOCK_MONOTONIC).
func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has it
	}
	return t.Nano()
}
