package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic reads the clock that all processes of the machine share, in
// nanoseconds. Go's own monotonic readings count from the start of a process.
func monotonic() (int64, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano(), err
}

// cpuTime is the CPU time, user and system, that all threads of the processes have
// used so far. It is read from outside, so that measuring costs the measured
// processes nothing.
func cpuTime(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		// The id of another process's CPU clock, as clock_getcpuclockid(3) makes it:
		// the complement of the pid over three bits that say process and CPUCLOCK_SCHED.
		const sched = 2
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// threads is the number of OS threads of this process; see proc_pid_status(5).
func threads() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "Threads:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("no Threads in /proc/self/status")
}
