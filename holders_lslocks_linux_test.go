package portalocker_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/proclocks"
	"github.com/portalocker/portalocker/internal/testproc"
)

// mixedLocks starts processes that hold 200 locks of all kinds, and wait for some, on
// the files in a folder.
func mixedLocks(t *testing.T, dir string) (paths []string) {
	t.Helper()
	path := func(format string, args ...any) string {
		p := filepath.Join(dir, fmt.Sprintf(format, args...))
		if !slices.Contains(paths, p) {
			newFile(t, p, "", 0o666)
			paths = append(paths, p)
		}
		return p
	}
	targets := []string{path("flock"), path("ofd"), path("posix")}
	locked(t, "flock exclusive 0 0 "+targets[0], "ofd exclusive 0 0 "+targets[1], "posix exclusive 0 0 "+targets[2])
	const processes, holds = 8, 22
	for p := range processes {
		var specs []string
		for i := range holds {
			own, common := fmt.Sprintf("own-%d-%d", p, i), fmt.Sprintf("common-%d", i)
			specs = append(specs, []string{
				"flock exclusive 0 0 " + path("%s", own),
				"flock shared 0 0 " + path("%s", common),
				"ofd exclusive 0 0 " + path("%s", own),
				fmt.Sprintf("ofd shared %d 5 %s", 10*p, path("%s", common)),
				"posix exclusive 0 7 " + path("%s", own),
				"posix shared 100 0 " + path("%s", common),
				fmt.Sprintf("ofd shared %d 1 %s", proclocks.FirstTicket+int64(1000*p+i), path("%s", common)),
			}[i%7])
		}
		for i, kind := range []string{"flock exclusive", "ofd shared", "posix exclusive"} {
			specs = append(specs, fmt.Sprintf("wait %s 0 0 %s", kind, targets[i]))
		}
		locked(t, specs...)
	}
	for _, target := range targets {
		blocked(t, target, processes)
	}
	return paths
}

// TestHoldersAgreeWithLslocks: lslocks(8) of util-linux sees the same 200 locks.
func TestHoldersAgreeWithLslocks(t *testing.T) {
	lslocks := testproc.Tool(t, "lslocks", "install util-linux")
	dir := t.TempDir()
	paths := mixedLocks(t, dir)
	inodes := map[uint64]string{}
	for _, path := range paths {
		inodes[inodeOf(t, path)] = path
	}

	started := time.Now()
	locks, err := proclocks.All()
	took := time.Since(started)
	must(t, err)
	ours := map[string][]string{}
	n := 0
	for _, l := range locks {
		if path, ok := inodes[l.File.Inode]; ok {
			n++
			row := ourRow(l)
			ours[path] = append(ours[path], row)
			if l.Path != path || l.PID == 0 || l.Command == "" {
				t.Errorf("%s: incomplete: %+v", path, l)
			}
		}
	}
	t.Logf("%d locks, found in %v", n, took)
	if n < 200 {
		t.Errorf("only %d locks", n)
	}
	its := map[string][]string{}
	for _, path := range paths {
		of, err := proclocks.Of(path)
		must(t, err)
		for _, l := range of {
			its[path] = append(its[path], ourRow(l))
		}
	}

	// What lslocks reads of a long table is not of one moment: while other programs lock
	// and unlock, some locks are there twice or not at all, others each time.
	var theirs map[string][]string
	left := paths
	for range 50 {
		theirs = lslocksRows(t, lslocks, inodes)
		left = slices.DeleteFunc(slices.Clone(left), func(path string) bool {
			for _, rows := range [][]string{ours[path], its[path], theirs[path]} {
				slices.Sort(rows)
			}
			return slices.Equal(ours[path], theirs[path]) && slices.Equal(its[path], theirs[path])
		})
		if len(left) == 0 {
			return
		}
	}
	for _, path := range left {
		t.Errorf("%s:\nall locks: %q\nits locks: %q\nlslocks:   %q", path, ours[path], its[path], theirs[path])
	}
}

// ourRow is a lock in the words of lslocks.
func ourRow(l proclocks.Lock) string {
	kind := map[oslock.Mechanism]string{oslock.Flock: "FLOCK", oslock.OFD: "OFDLCK", oslock.POSIX: "POSIX"}[l.Mechanism]
	mode := map[oslock.Mode]string{oslock.Exclusive: "WRITE", oslock.Shared: "READ"}[l.Mode]
	switch {
	case l.Waiting && l.Mode == 0:
		return "ticket"
	case l.Waiting:
		mode += "*"
	}
	return lslocksRow(kind, mode, l.PID)
}

func lslocksRow(kind, mode string, pid int) string {
	if kind == "OFDLCK" {
		return kind + " " + mode // lslocks does not know whose it is, or not in all versions
	}
	return fmt.Sprintf("%s %s %d", kind, mode, pid)
}

// lslocksRows are the rows of lslocks, by path.
func lslocksRows(t *testing.T, lslocks string, inodes map[uint64]string) map[string][]string {
	t.Helper()
	out, err := exec.Command(lslocks, "--json", "--output", "PID,TYPE,MODE,INODE,START").Output()
	must(t, err)
	var list struct {
		Locks []struct {
			PID        int
			Type, Mode string
			Inode      uint64
			Start      int64
		}
	}
	must(t, json.Unmarshal(out, &list))
	rows := map[string][]string{}
	for _, l := range list.Locks {
		path, ok := inodes[l.Inode]
		if !ok {
			continue
		}
		row := lslocksRow(strings.TrimSpace(l.Type), l.Mode, l.PID)
		if l.Type == "OFDLCK" && l.Start >= proclocks.FirstTicket {
			row = "ticket"
		}
		rows[path] = append(rows[path], row)
	}
	return rows
}
