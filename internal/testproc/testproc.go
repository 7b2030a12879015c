// Package testproc lets a test binary start itself again as another process, to
// hold locks, to wait for them, and to be stopped and killed while it does. The
// two talk in lines: the test sends commands to the other's standard input, and
// reads the answers from its standard output.
package testproc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// roleVariable tells a started test binary what it is to be.
const roleVariable = "PORTALOCKER_TEST_ROLE"

// Role is what a started process does instead of running tests. It ends with the
// function; an error is its exit status 1 and goes to standard error.
type Role func(p *Peer, args []string) error

// Main runs the role that this process was started for, and then ends the
// process; in the process of the tests themselves it returns. Call it first in
// TestMain.
func Main(roles map[string]Role) {
	name := os.Getenv(roleVariable)
	if name == "" {
		return
	}
	role := roles[name]
	if role == nil {
		fmt.Fprintf(os.Stderr, "no role %q\n", name)
		os.Exit(2)
	}
	if err := role(&Peer{lines: bufio.NewScanner(os.Stdin)}, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Peer is the test, as the started process sees it.
type Peer struct{ lines *bufio.Scanner }

// Say sends a line.
func (*Peer) Say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// Hear waits for the next line; it is false when there will be none.
func (p *Peer) Hear() (string, bool) {
	ok := p.lines.Scan()
	return p.lines.Text(), ok
}

// Process is a started process, as the test sees it.
type Process struct {
	Cmd   *exec.Cmd
	t     testing.TB
	stdin io.WriteCloser
	lines chan string
	ended chan struct{} // closed when Cmd.Wait has returned
	err   error         // its result
}

// patience is how long a test waits for what must happen: far longer than
// anything takes, so that only a hang meets it.
const patience = 60 * time.Second

// Start starts this test binary in a role. The process is killed at the end of
// the test if it has not ended by then.
func Start(t testing.TB, role string, args ...string) *Process {
	t.Helper()
	return StartCmd(t, Command(t, role, args...))
}

// Command is what Start starts, to be changed before StartCmd.
func Command(t testing.TB, role string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	// A process with the race detector would sleep a second at its end.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// StartCmd starts any command as a Process.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, t: t, lines: make(chan string, 1024), ended: make(chan struct{})}
	cmd.Stderr = os.Stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- lines.Text()
		}
		close(p.lines)
		p.err = cmd.Wait()
	}()
	t.Cleanup(p.Kill)
	return p
}

// Say sends a line.
func (p *Process) Say(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		p.t.Fatalf("talking to process %d: %v", p.Cmd.Process.Pid, err)
	}
}

// Hear waits for the next line.
func (p *Process) Hear() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("process %d ended without a word", p.Cmd.Process.Pid)
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("process %d is silent", p.Cmd.Process.Pid)
	}
	return ""
}

// Expect waits for the next line, which must begin with prefix, and returns the
// rest of it.
func (p *Process) Expect(prefix string) string {
	p.t.Helper()
	line := p.Hear()
	rest, ok := strings.CutPrefix(line, prefix)
	if !ok {
		p.t.Fatalf("process %d said %q, not %q", p.Cmd.Process.Pid, line, prefix)
	}
	return strings.TrimSpace(rest)
}

// Lines receives what the process says, for tests that listen to several; it is
// closed when the process has closed its output.
func (p *Process) Lines() <-chan string { return p.lines }

// Close ends the process's input.
func (p *Process) Close() { _ = p.stdin.Close() }

// Wait ends the process's input and waits for its end; the error is that of
// exec.Cmd.Wait.
func (p *Process) Wait() error {
	p.t.Helper()
	p.Close()
	for {
		select {
		case _, ok := <-p.lines: // what it still says must not hold it up
			if !ok {
				<-p.ended
				return p.err
			}
		case <-time.After(patience):
			p.t.Fatalf("process %d does not end", p.Cmd.Process.Pid)
		}
	}
}

// Kill kills the process, if it still runs, and waits for its end.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	go func() {
		for range p.lines { // nobody else listens any more
		}
	}()
	<-p.ended
	_ = p.stdin.Close()
}
