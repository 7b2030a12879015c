package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

func TestRunShell(t *testing.T) {
	path := lockFile(t)
	for _, args := range [][]string{
		{"run", "-c", `echo "a b"& exit 3`, path},
		{"run", path, "--command", `"%ComSpec%" /C echo "a b"& exit 3`},
	} {
		try(t, args...).want(t, 3, `"a b"`, "")
	}
}

func TestRunNoFork(t *testing.T) {
	try(t, "run", "-F", lockFile(t), "--", self, "@exit", "0").
		want(t, statusUsage, "", "--no-fork: a program cannot become another one on windows")
}

func TestRunDirectory(t *testing.T) {
	try(t, "run", testproc.Folder(t), "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a directory")
}

// The status of a command can have 32 bits.
func TestRunLargeStatus(t *testing.T) {
	path := lockFile(t)
	for _, status := range []int{256, 3000, 0xC0000005} {
		try(t, "run", path, "--", self, "@exit", strconv.Itoa(status)).want(t, status, "", "")
	}
}

// A command that is killed ends as any other: there are no signals.
func TestRunKilledCommand(t *testing.T) {
	path := lockFile(t)
	p := start(t, "run", path, "--", self, "@hold")
	kill(t, p.ready())
	p.finish().want(t, 1, "", "") // os.Process.Kill gives it the status 1
	mustBeFree(t, path)
}

// A lock ends with portalocker, whatever becomes of the command, and who waits has
// it then.
func TestRunKilled(t *testing.T) {
	path, p := heldLock(t)
	waiter := start(t, "run", "--verbose", path, "--", self, "@exit", "4")
	waiter.expect(waiter.err, "portalocker: acquire ")
	kill(t, p.cmd.Process.Pid)
	p.end()
	waiter.expect(waiter.err, "portalocker: got the lock ")
	if r := waiter.finish(); r.status != 4 {
		t.Errorf("the waiter ended with %+v", r)
	}
	mustBeFree(t, path)
}

// A waiter that is killed is nobody's concern.
func TestRunKilledWaiter(t *testing.T) {
	path, p := heldLock(t)
	waiter := start(t, "run", "--verbose", path, "--", self, "@exit", "4")
	waiter.expect(waiter.err, "portalocker: acquire ")
	kill(t, waiter.cmd.Process.Pid)
	waiter.end()
	try(t, "run", "-n", path, "--", self, "@exit", "5").want(t, statusConflict, "", "already locked")
	p.finish().want(t, 0, "", "")
	mustBeFree(t, path)
}

// What a killed portalocker leaves, the next one takes over and removes.
func TestRunKilledLeavesFiles(t *testing.T) {
	for _, option := range []string{"--temp", "--pid"} {
		path, p := heldLock(t, option)
		kill(t, p.cmd.Process.Pid)
		p.end()
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", option, err)
		}
		try(t, "run", option, "-n", path, "--", self, "@exit", "5").want(t, 5, "", "")
		if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("%s: left behind: %v (%v)", option, left, err)
		}
	}
}

// kill ends a process at once, by TerminateProcess.
func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}
