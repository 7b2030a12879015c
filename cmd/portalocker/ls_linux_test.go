package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/testproc"
)

// listed is what "portalocker ls --json" writes.
func listed(t *testing.T, paths ...string) []lockJSON {
	t.Helper()
	r := try(t, append([]string{"ls", "--json"}, paths...)...)
	if r.status != 0 || r.err != "" {
		t.Fatalf("got %+v", r)
	}
	var locks []lockJSON
	if err := json.Unmarshal([]byte(r.out), &locks); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	return locks
}

// listedOnce lists a path as soon as it has n locks.
func listedOnce(t *testing.T, path string, n int) (locks []lockJSON) {
	t.Helper()
	testproc.AwaitNil(t, fmt.Sprintf("%s has %d locks", path, n), func() error {
		if locks = listed(t, path); len(locks) != n {
			return fmt.Errorf("got %+v", locks)
		}
		return nil
	})
	return locks
}

func TestLsListsHolderAndWaiters(t *testing.T) {
	path, holder := heldLock(t)
	begin := time.Now()
	var want []int
	for i := range 3 {
		waiter := start(t, "run", path, "--", self, "@exit", "0")
		want = append(want, waiter.cmd.Process.Pid)
		listedOnce(t, path, 2+i)
	}
	locks := listed(t, path)
	if l := locks[0]; *l.PID != holder.cmd.Process.Pid || l.Waiting || *l.Mode != "exclusive" || l.Mechanism != "flock" || l.Since != nil || *l.Path != path {
		t.Errorf("the first is %+v", l)
	}
	var got []int
	for _, l := range locks[1:] {
		got = append(got, *l.PID)
		if !l.Waiting || l.Mode != nil || l.Mechanism != "flock" || l.Since.Before(begin.Add(-time.Second)) || l.Since.After(time.Now().Add(time.Second)) {
			t.Errorf("a waiter is %+v", l)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the waiters are %v, want %v in this order", got, want)
	}
	// The table says the same.
	lines := strings.Split(try(t, "ls", path).out, "\n")
	for i, pid := range append([]int{holder.cmd.Process.Pid}, want...) {
		if !strings.HasPrefix(lines[1+i], fmt.Sprintf("%d ", pid)) || !strings.HasSuffix(lines[1+i], "  "+path) {
			t.Errorf("line %d is %q, want process %d", i, lines[1+i], pid)
		}
	}
	// And so does the list of all.
	all := slices.DeleteFunc(listed(t), func(l lockJSON) bool { return l.Path == nil || *l.Path != path })
	if len(all) != 4 {
		t.Errorf("in the list of all locks: %+v", all)
	}
}

// A killed portalocker leaves the lock with its command, which is told then.
func TestLsListsTheCommandThatWasLeftAlone(t *testing.T) {
	for _, mechanism := range []string{"flock", "ofd"} {
		path := lockFile(t)
		p := start(t, "run", "--mechanism", mechanism, path, "--", self, "@hold")
		command := p.ready()
		if got := *listed(t, path)[0].PID; got != p.cmd.Process.Pid {
			t.Errorf("%s: process %d holds, want %d", mechanism, got, p.cmd.Process.Pid)
		}
		p.send(unix.SIGKILL)
		p.end()
		locks := listed(t, path)
		if len(locks) != 1 || *locks[0].PID != command || locks[0].Mechanism != mechanism {
			t.Errorf("%s: %+v, want process %d", mechanism, locks, command)
		}
	}
}

func TestLsListsSharedLocksOfAllKinds(t *testing.T) {
	for _, mechanism := range []string{"flock", "ofd", "posix"} {
		path := lockFile(t)
		var want []int
		for range 2 {
			p := start(t, "run", "--shared", "--mechanism", mechanism, path, "--", self, "@hold")
			p.ready()
			want = append(want, p.cmd.Process.Pid)
		}
		var got []int
		for _, l := range listed(t, path) {
			got = append(got, *l.PID)
			if l.Mechanism != mechanism || *l.Mode != "shared" || l.Waiting || l.Length != nil {
				t.Errorf("%s: %+v", mechanism, l)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", mechanism, got, want)
		}
	}
}

func TestLsPathThatCannotBeLookedAt(t *testing.T) {
	path, holder := heldLock(t)
	missing := filepath.Join(t.TempDir(), "missing")
	r := try(t, "ls", missing, path)
	r.want(t, statusNoInput, fmt.Sprintf("\n%d ", holder.cmd.Process.Pid), "open "+missing+": no such file or directory")
	try(t, "ls", "--json", missing).want(t, statusNoInput, "[]\n", missing)
	if _, err := os.Stat(missing); err == nil {
		t.Error("it was made")
	}
}

func TestLsQuotesNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a\n\x1b[2Jb")
	start(t, "run", path, "--", self, "@hold").ready()
	r := try(t, "ls", path)
	if strings.Count(r.out, "\n") != 2 || strings.Contains(r.out, "\x1b") || !strings.Contains(r.out, `a\n\x1b[2Jb"`) {
		t.Errorf("got %q", r.out)
	}
	if got := *listed(t, path)[0].Path; got != path {
		t.Errorf("in JSON %q", got)
	}
}

// A path is needed for no lock: one that nobody has open by a name is told by number.
func TestLsDeletedFile(t *testing.T) {
	path, holder := heldLock(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, l := range listed(t) {
		if l.Inode == inode && l.PID != nil && *l.PID == holder.cmd.Process.Pid {
			if *l.Path != path+" (deleted)" {
				t.Errorf("got %+v", l)
			}
			return
		}
	}
	t.Error("it is not listed")
}

func TestLsThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer func() { _ = full.Close() }()
	cmd := portalockerCommand("ls", t.TempDir())
	stderr := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = full, stderr
	err = cmd.Run()
	if cmd.ProcessState.ExitCode() != statusOS || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("%v, %q", err, stderr)
	}
}

// Without /proc, the system does not tell.
func TestLsWithoutProc(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	script := `mount -t tmpfs none /proc || { echo cannot mount; exit; }
		exec "$0" "$@"`
	for _, args := range [][]string{{"ls"}, {"ls", t.TempDir()}, {"ls", "--json"}} {
		cmd := exec.Command("/bin/sh", append([]string{"-c", script, self}, args...)...)
		cmd.Env = portalockerCommand().Env
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		r := startCommand(t, cmd).finish()
		if strings.Contains(r.out, "cannot mount") {
			t.Skip("no mounts here:", r.err)
		}
		// Not by want: the race detector adds lines where there is no /proc.
		if r.status != statusNotTold || r.out != "" || !strings.Contains(r.err, "the system does not tell who holds a lock: /proc/locks: no such file or directory\n") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
