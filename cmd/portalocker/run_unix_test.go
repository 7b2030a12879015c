//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	commands["@signals"] = reportSignals
}

// reportSignals says that it runs, and then each signal that it gets, until
// SIGTERM. With "alone" it leaves the process group first.
func reportSignals(args []string) int {
	if len(args) > 0 && args[0] == "alone" {
		if err := unix.Setpgid(0, 0); err != nil {
			fmt.Println(err)
		}
	}
	c := make(chan os.Signal, 64)
	signal.Notify(c, caught...)
	fmt.Println("ready", os.Getpid())
	for sig := range c {
		fmt.Println(sig)
		if sig == unix.SIGTERM {
			break
		}
	}
	return 9
}

func (p *process) send(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

func TestRunPassesSignalsOn(t *testing.T) {
	path := lockFile(t)
	cmd := portalockerCommand("run", path, "--", self, "@signals")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without the terminal that the test may have
	p := startCommand(t, cmd)
	p.ready()
	for range 2 { // again and again
		for _, sig := range caught {
			if sig != unix.SIGTERM {
				p.send(sig.(syscall.Signal))
				p.expect(p.out, sig.String())
			}
		}
	}
	mustBeHeld(t, path)
	p.send(unix.SIGTERM)
	p.finish().want(t, 9, "terminated", "")
	mustBeFree(t, path)
}

// nohup(1) begins a program with SIGHUP ignored, and it has to stay so.
func TestRunLeavesIgnoredSignalsIgnored(t *testing.T) {
	for script, status := range map[string]int{
		`trap "" HUP; exec "$0" "$@"`: 0,
		`exec "$0" "$@"`:              statusSignal + int(unix.SIGHUP),
	} {
		cmd := exec.Command("/bin/sh", "-c", script, self, "run", lockFile(t), "--", self, "@hold")
		cmd.Env = portalockerCommand().Env
		p := startCommand(t, cmd)
		pid := p.ready()
		p.send(unix.SIGHUP)
		if status != 0 {
			if got := p.end(); got != status {
				t.Errorf("not ignored, SIGHUP led to status %d", got)
			}
			continue
		}
		if err := syscall.Kill(pid, unix.SIGHUP); err != nil { // the command ignores it too
			t.Error(err)
		}
		p.finish().want(t, 0, "", "")
	}
}

func TestRunReportsTheSignalThatEndedTheCommand(t *testing.T) {
	path := lockFile(t)
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGHUP} {
		p := start(t, "run", path, "--", self, "@hold")
		if err := syscall.Kill(p.ready(), sig); err != nil {
			t.Fatal(err)
		}
		if status := p.end(); status != statusSignal+int(sig) {
			t.Errorf("%v led to status %d", sig, status)
		}
		mustBeFree(t, path)
	}
}

func TestRunSignalEndsTheWait(t *testing.T) {
	for _, options := range [][]string{nil, {"--temp"}, {"--pid"}} {
		path, holder := heldLock(t, options...)
		for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
			waiter := start(t, append(append([]string{"run", "--verbose"}, options...), path, "--", self, "@hold")...)
			waiter.expect(waiter.err, "portalocker: acquire ") // waits from now on
			waiter.send(sig)
			waiter.finish().want(t, statusSignal+int(sig), "", "stopped by signal: "+sig.String())
		}
		holder.finish().want(t, 0, "", "")
	}
}

// The signal arrives at any moment between the wait and the command. Either it ends
// the wait, or it reaches the command: it must not be lost.
func TestRunLosesNoSignalAroundTheStart(t *testing.T) {
	path := lockFile(t)
	for range 50 {
		p := start(t, "run", "--verbose", path, "--", self, "@hold")
		p.expect(p.err, "portalocker: got the lock ") // signals are caught by now
		p.send(unix.SIGTERM)
		if status := p.end(); status != statusSignal+int(unix.SIGTERM) {
			t.Fatalf("ended with %d", status)
		}
	}
	mustBeFree(t, path)
}

func TestRunKilledLeavesTheLockWithTheCommand(t *testing.T) {
	for _, options := range [][]string{
		nil,
		{"--shared"},
		{"--temp"},
		{"--pid"},
		{"--slots", "1", "--directory", "."},
		{"--mechanism", "flock"},
		{"--mechanism", "ofd"},
	} {
		if !offered(options) {
			continue
		}
		t.Chdir(t.TempDir()) // as the name of a semaphore can be no path
		run := append(append([]string{"run"}, options...), "job", "--", self)
		p := start(t, append(run, "@hold")...)
		by := "already locked"
		if pid := p.ready(); runtime.GOOS == "linux" && !slices.Contains(options, "--slots") {
			by = fmt.Sprintf("already locked by pid %d (", pid) // who inherited it
		}
		p.send(unix.SIGKILL)
		if status := p.end(); status != -1 {
			t.Fatalf("SIGKILL made it end with %d", status)
		}
		next := append(slices.DeleteFunc(slices.Clone(run), func(arg string) bool { return arg == "--shared" }), "@exit", "0")
		try(t, slices.Insert(slices.Clone(next), 1, "-n")...).want(t, statusConflict, "", by)
		waiter := start(t, next...)
		_ = p.in.Close() // which ends the command, and only that lets the next one go on
		waiter.finish().want(t, 0, "", "")
	}
}

func TestRunClose(t *testing.T) {
	path, p := heldLock(t, "--close")
	mustBeHeld(t, path)
	p.send(unix.SIGKILL)
	p.end()
	mustBeFree(t, path) // though the command still runs
}

func TestRunReleasesWhenTheCommandLeavesOthersBehind(t *testing.T) {
	path := lockFile(t)
	p := start(t, "run", path, "--", self, "@background")
	p.ready() // says the process in the background
	if status := p.end(); status != 0 {
		t.Fatalf("ended with %d", status)
	}
	mustBeFree(t, path)
}

// Descriptors that the caller means for the command must get there under their
// numbers, the lock's descriptor notwithstanding.
func TestRunKeepsOtherDescriptors(t *testing.T) {
	for _, option := range []string{"-x", "-F"} {
		path := lockFile(t)
		r, w := pipe(t)
		cmd := portalockerCommand("run", option, path, "--", "/bin/sh", "-c", "echo to 3 >&3; echo to 4 >&4; echo to 5 >&5")
		cmd.ExtraFiles = []*os.File{w, w, w}
		p := startCommand(t, cmd)
		_ = w.Close()
		p.finish().want(t, 0, "", "")
		got := make([]byte, 64)
		if n, err := r.Read(got); string(got[:n]) != "to 3\nto 4\nto 5\n" {
			t.Errorf("%s: got %q (%v)", option, got[:n], err)
		}
		if content, err := os.ReadFile(path); len(content) > 0 {
			t.Errorf("%s: the lock file holds %q (%v)", option, content, err)
		}
	}
}

func TestRunNoFork(t *testing.T) {
	for _, m := range mechanisms {
		options := []string{"--mechanism", m.String()}
		if !offered(options) {
			continue
		}
		path, p := heldLock(t, append(options, "-F")...)
		try(t, append(append([]string{"run", "-n"}, options...), path, "--", self, "@exit", "0")...).
			want(t, statusConflict, "", "already locked")
		p.finish().want(t, 0, "", "")
		mustBeFree(t, path)
	}
	path := lockFile(t)
	p := start(t, "run", "--no-fork", path, "--", "/bin/sh", "-c", `echo "$$"; exit 6`)
	p.finish().want(t, 6, fmt.Sprintf("%d\n", p.cmd.Process.Pid), "")
	try(t, "run", "-F", path, "--", self, "@environment", "PORTALOCKER_LOCK").want(t, 0, path, "")
	try(t, "run", "-F", path, "-c", "exit 8").want(t, 8, "", "")
	try(t, "run", "-F", path, "--", "no-such-command-anywhere").want(t, statusNoCommand, "", "cannot execute")
	mustBeFree(t, path)
}

func TestRunShell(t *testing.T) {
	path := lockFile(t)
	for _, args := range [][]string{
		{"run", "-c", `echo "$PORTALOCKER_LOCK" | tr a-z A-Z; exit 3`, path},
		{"run", "--command", `echo "$PORTALOCKER_LOCK" | tr a-z A-Z; exit 3`, path},
		{"run", "-n", path, "-c", `echo "$PORTALOCKER_LOCK" | tr a-z A-Z; exit 3`},
		{"run", path, "--command", `echo "$PORTALOCKER_LOCK" | tr a-z A-Z; exit 3`},
	} {
		for _, shell := range []string{"", "/bin/sh"} {
			cmd := portalockerCommand(args...)
			cmd.Env = append(cmd.Env, "SHELL="+shell)
			startCommand(t, cmd).finish().want(t, 3, strings.ToUpper(path), "")
		}
	}
	cmd := portalockerCommand("run", "-c", "a line", path)
	cmd.Env = append(cmd.Env, "SHELL=/bin/echo")
	startCommand(t, cmd).finish().want(t, 0, "-c a line\n", "")
	cmd = portalockerCommand("run", "-c", "a line", path)
	cmd.Env = append(cmd.Env, "SHELL=/no/such/shell")
	startCommand(t, cmd).finish().want(t, statusNoCommand, "", `cannot execute "/no/such/shell"`)
}

func TestRunScripts(t *testing.T) {
	dir := t.TempDir()
	script := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := script("plain", `echo "plain $1"`)
	lost := script("lost", "#!/no/such/interpreter\n")
	own := script("own", "#!/bin/sh\necho own \"$@\"\n")
	for _, option := range []string{"-x", "-F"} {
		try(t, "run", option, lockFile(t), "--", plain, "script").want(t, 0, "plain script", "")
		try(t, "run", option, lockFile(t), "--", lost).want(t, statusNoCommand, "", "what is missing is its interpreter")
		// A script may be its own lock file, as flock(1) shows in its examples.
		try(t, "run", option, own, "--", own, "lock").want(t, 0, "own lock", "")
	}
	cmd := portalockerCommand("run", lockFile(t), "--", "own", "by PATH")
	cmd.Dir, cmd.Env = dir, append(cmd.Env, "PATH=:/bin:/usr/bin")
	startCommand(t, cmd).finish().want(t, 0, "own by PATH", "")
}

func TestRunDirectory(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "run", dir, "--", self, "@hold")
	p.ready()
	mustBeHeld(t, dir)
	p.finish().want(t, 0, "", "")
	try(t, "run", "--temp", dir, "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a directory; this lock needs a regular file")
}

func TestRunSpecialFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mknod(fifo, unix.S_IFIFO|0o600, 0); err != nil {
		t.Skip(err)
	}
	try(t, "run", fifo, "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a named pipe")
	try(t, "run", "/dev/null", "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a device")
}

func TestRunSymlinks(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	p := start(t, "run", link, "--", self, "@hold") // creates the target, as flock(1) does
	p.ready()
	mustBeHeld(t, target)
	p.finish().want(t, 0, "", "")
	for _, option := range []string{"--temp", "--pid"} {
		try(t, "run", option, link, "--", self, "@exit", "0").want(t, statusNoInput, "", "a symbolic link, which is not followed here")
	}
	if _, err := os.Lstat(link); err != nil {
		t.Errorf("the link is gone: %v", err)
	}
}

// mustBeHeld checks that somebody has the lock.
func mustBeHeld(t *testing.T, path string) {
	t.Helper()
	if r := try(t, "run", "-n", path, "--", self, "@exit", "0"); r.status != statusConflict {
		t.Fatalf("the lock is not held: %+v", r)
	}
}

// offered: this platform has the mechanism that the options name, if they do.
func offered(options []string) bool {
	cmd := portalockerCommand(append(append([]string{"run"}, options...), os.DevNull, "--", "true")...)
	out, _ := cmd.CombinedOutput() // fails anyway, as that is a device
	return !strings.Contains(string(out), "leave out --mechanism")
}
