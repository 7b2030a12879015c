package portalocker_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// queued waits until n processes have a ticket on the file.
func queued(t *testing.T, path string, n int) {
	t.Helper()
	inode := fmt.Sprintf(":%d", inodeOf(t, path))
	testproc.Await(t, fmt.Sprintf("%d tickets on %s", n, path), func() bool {
		locks, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Fatal(err)
		}
		tickets := 0
		for line := range strings.Lines(string(locks)) {
			fields := strings.Fields(line)
			if len(fields) == 8 && fields[1] == "OFDLCK" && strings.HasSuffix(fields[5], inode) {
				if start, _ := strconv.ParseInt(fields[6], 10, 64); start >= 1<<61 {
					tickets++
				}
			}
		}
		return tickets == n
	})
}

// watching waits until the process watches the file. That is the last thing that
// a waiter does before it looks once more and sleeps.
func watching(t *testing.T, pid int, path string) {
	t.Helper()
	inode := []byte(fmt.Sprintf(" ino:%x ", inodeOf(t, path)))
	testproc.Await(t, fmt.Sprintf("process %d watches %s", pid, path), func() bool {
		infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
		for _, name := range infos {
			info, _ := os.ReadFile(name)
			if bytes.HasPrefix(info, []byte("pos:")) && bytes.Contains(info, []byte("\ninotify wd:")) && bytes.Contains(info, inode) {
				return true
			}
		}
		return false
	})
}

// openFiles counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
