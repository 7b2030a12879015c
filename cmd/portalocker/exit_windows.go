package main

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// exhausted: the system has no more of something.
var exhausted = []syscall.Errno{windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_NO_SYSTEM_RESOURCES}

// uncreatable: there is no place for a new file.
var uncreatable = []syscall.Errno{windows.ERROR_WRITE_PROTECT, windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}
