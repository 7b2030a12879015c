package portalocker_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/portalocker/portalocker"
)

// TestHostilePIDFile: what a stranger has written to a PID file hides nothing, reaches
// no terminal, and is not read beyond what a PID can be. The lock is held by an OFD
// lock, whose holder the system does not tell: so the PID file is asked.
func TestHostilePIDFile(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"escape codes":  "\x1b[31m1\x1b]0;title\a",
		"negative":      "-1",
		"every process": "0",
		"huge":          "99999999999999999999",
		"too great":     "2147483648",
		"several":       "1\n2",
		"signed":        "+1",
		"hexadecimal":   "0x10",
		"NUL":           "1\x00",
		"not UTF-8":     "\xff\xfe1",
		"sparse":        "sparse",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x.pid")
			asStranger(t, newFile(t, path+".lock", "", 0o666))
			asStranger(t, newFile(t, path, content, 0o666))
			if name == "sparse" {
				must(t, os.Truncate(path, 1<<40))
			}
			attacker(t, "ofd", path+".lock")
			l := portalocker.NewPIDFileLock(path, portalocker.WithMechanism(portalocker.OFD))
			before := allocated()
			_, err := l.ReadPID()
			mustSay(t, err, "PID")
			err = l.Acquire(t.Context())
			mustBeLocked(t, err)
			mustSay(t, err, "already locked")
			if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID != 0 {
				t.Errorf("%v names pid %d", err, e.HolderPID)
			}
			if grown := allocated() - before; grown > 4<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestOtherPIDInPIDFile: a PID that a stranger wrote is told as the PID file's word,
// which is all that it is: nothing is done to that process.
func TestOtherPIDInPIDFile(t *testing.T) {
	path := filepath.Join(stickyDir(t), "x.pid")
	asStranger(t, newFile(t, path+".lock", "", 0o666))
	asStranger(t, newFile(t, path, "1", 0o666))
	p := attacker(t, "lock", path+".lock")
	err := portalocker.NewPIDFileLock(path).Acquire(t.Context())
	mustBeLocked(t, err)
	// With flock the system tells who it is, and that counts more.
	if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderPID != p.Cmd.Process.Pid {
		t.Errorf("%v does not name pid %d", err, p.Cmd.Process.Pid)
	}
}
