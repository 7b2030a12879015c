//go:build unix && !linux

package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signalsAsInC ends this program with the signals that end a program in C that
// handles none, where Go would write a trace of its goroutines or do nothing. The
// status is the one that a shell shows for the signal.
func signalsAsInC() {
	keepIgnored()
	c := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM} {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
	go func() { os.Exit(signalStatus(<-c)) }()
}

// defaultAction says whether Go's own handler ends the program by the signal. It
// does for few, and none can be taken away from it here.
func defaultAction(sig unix.Signal) bool { return sig == unix.SIGINT }
