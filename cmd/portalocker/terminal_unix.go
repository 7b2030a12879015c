//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalWidth is how many columns the terminal has; it is false if the file is no
// terminal, or one that this process is in the background of.
func terminalWidth(f *os.File) (columns int, ok bool) {
	fd := int(f.Fd())
	size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	// It fails for a terminal that does not control this process.
	if foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
		if own, err := unix.Getpgid(0); err == nil && own != foreground {
			return 0, false
		}
	}
	if size.Col == 0 { // nobody has told it
		return 80, true
	}
	return int(size.Col), true
}
