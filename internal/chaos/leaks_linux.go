package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// leftover is what a process has open.
type leftover struct {
	goroutines int
	files      []string // what the descriptors stand for
	watches    int      // of inotify
}

// lookAround counts. Not what the runtime and package notify open once and keep: the
// poller, and the inotify instance with its eventfd.
func lookAround() (l leftover) {
	l.goroutines = runtime.NumGoroutine()
	entries, _ := os.ReadDir("/proc/self/fd") // if /proc is missing nothing is found
	for _, e := range entries {
		name, err := os.Readlink("/proc/self/fd/" + e.Name())
		switch {
		case err != nil: // the one that has read the folder
		case name == "anon_inode:inotify":
			info, _ := os.ReadFile("/proc/self/fdinfo/" + e.Name())
			l.watches += strings.Count(string(info), "inotify wd:")
		case strings.HasPrefix(name, "anon_inode:"):
		case strings.HasSuffix(name, "/fd"):
		default:
			l.files = append(l.files, name)
		}
	}
	slices.Sort(l.files)
	return l
}

// compare says what is there that was not there before. What is on its way out gets
// some time for that.
func (before leftover) compare(w *worker) {
	var now leftover
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		now = lookAround()
		if now.goroutines <= before.goroutines && len(now.files) <= len(before.files) && now.watches == 0 {
			return
		}
	}
	stacks := make([]byte, 64<<10)
	stacks = stacks[:runtime.Stack(stacks, true)]
	w.wrong("left open: %d goroutines instead of %d, %d watches, files %q instead of %q%s",
		now.goroutines, before.goroutines, now.watches, now.files, before.files, goroutinesOf(now, before, stacks))
}

func goroutinesOf(now, before leftover, stacks []byte) string {
	if now.goroutines <= before.goroutines {
		return ""
	}
	return fmt.Sprintf(": %s", stacks)
}
