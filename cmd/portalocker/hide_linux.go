package main

import (
	"os"
	"unsafe"
)

// hide overwrites a part of this program's arguments in the list of processes. It
// has to be a part of a string of os.Args, not a copy; of others hide keeps its
// hands off, for they may be constants.
//
// The kernel shows the arguments from the memory of the process (proc_pid_cmdline(5)),
// and there the strings of os.Args are.
func hide(secret string) {
	if secret == "" {
		return
	}
	begin := uintptr(unsafe.Pointer(unsafe.StringData(secret)))
	for _, arg := range os.Args {
		if arg == "" {
			continue
		}
		at := uintptr(unsafe.Pointer(unsafe.StringData(arg)))
		if begin < at || begin+uintptr(len(secret)) > at+uintptr(len(arg)) {
			continue
		}
		shown := unsafe.Slice(unsafe.StringData(secret), len(secret))
		for i := range shown {
			shown[i] = '*'
		}
		return
	}
}
