//go:build unix

package main

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// keepIgnored guesses at SIGQUIT. Go leaves SIGHUP and SIGINT ignored when they were
// so at its start, but takes all others over, and neither it nor the system knows
// any more how they were. A shell without job control ignores SIGINT and SIGQUIT for
// what it runs in the background (POSIX, Shell Command Language, 2.11), and then
// commands that are run from here must find both ignored, too.
func keepIgnored() {
	if signal.Ignored(unix.SIGINT) {
		signal.Ignore(unix.SIGQUIT)
	}
}

// survivePipes makes a write to a pipe that nobody reads any more fail, which would end
// this program otherwise if it is standard error: a command whose lock is lost has to
// be ended all the same. Commands get SIGPIPE as ever.
func survivePipes() { signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) }

// dieOf ends this program by a signal; it returns where that cannot be done.
func dieOf(sig os.Signal) {
	number := sig.(unix.Signal)
	signal.Reset(sig)
	if !defaultAction(number) {
		return
	}
	// The command has left a core dump if one was wanted.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if unix.Kill(unix.Getpid(), number) == nil {
		time.Sleep(time.Second) // it may reach another thread, and this one a moment later
	}
}
