//go:build unix

package main

import "syscall"

// exhausted: the system has no more of something. EAGAIN is fork(2)'s word for
// too many processes.
var exhausted = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOLCK, syscall.EAGAIN}

// uncreatable: there is no place for a new file.
var uncreatable = []syscall.Errno{syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT}
