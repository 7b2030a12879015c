package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
)

// screen is what a terminal shows.
type screen struct {
	t        *testing.T
	terminal *os.File
	raw      strings.Builder // all that was written to it
}

// newScreen gives a command a terminal for its input and its errors.
func newScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	keyboard, tty := terminal(t, cmd)
	cmd.Stderr = tty
	return &screen{t: t, terminal: keyboard}
}

// until reads until something has been written.
func (s *screen) until(part string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(s.raw.String(), part) {
		n, err := s.terminal.Read(buf)
		if err != nil {
			s.t.Fatalf("%v; the terminal was sent %q, and is to get %q", err, s.raw.String(), part)
		}
		s.raw.Write(buf[:n])
	}
}

// lines are what is to be seen after all that was written.
func (s *screen) lines() []string {
	var lines []string
	for _, written := range strings.Split(s.raw.String(), "\n") {
		var line []rune
		column := 0
		for _, r := range written {
			if r == '\r' {
				column = 0
				continue
			}
			if column == len(line) {
				line = append(line, ' ')
			}
			line[column] = r
			column++
		}
		lines = append(lines, strings.TrimRight(string(line), " "))
	}
	return lines
}

func TestRunShowsTheWaitOnATerminal(t *testing.T) {
	t.Parallel()
	path, holder := heldLock(t)
	cmd := portalockerCommand("run", path, "--", "/bin/sh", "-c", "echo done >&2")
	tty := newScreen(t, cmd)
	p := startCommand(t, cmd)
	by := fmt.Sprintf("held by pid %d (", holder.cmd.Process.Pid)
	tty.until("\rportalocker: waiting, " + by)
	tty.until("\rportalocker: waiting 1s, " + by)
	if lines := tty.lines(); len(lines) != 1 {
		t.Errorf("the wait has more than one line: %q", lines)
	}
	holder.finish().want(t, 0, "", "")
	tty.until("done\r\n")
	if status := p.end(); status != 0 {
		t.Errorf("ended with %d", status)
	}
	if lines := tty.lines(); len(lines) != 2 || lines[0] != "done" || lines[1] != "" {
		t.Errorf("left on the terminal: %q", lines)
	}
}

// A program in the background of a terminal writes nothing there about its wait.
func TestRunIsSilentInTheBackground(t *testing.T) {
	t.Parallel()
	path, holder := heldLock(t)
	// The shell stays in the foreground, and starts the other in a group of its own.
	cmd := exec.Command("/bin/sh", "-c", `set -m; "$0" "$@" & wait $!; echo status $? >&2`,
		self, "run", "-w", "0.5", path, "--", self, "@exit", "0")
	cmd.Env = portalockerCommand().Env
	tty := newScreen(t, cmd)
	p := startCommand(t, cmd)
	tty.until("status 1\r\n")
	if status := p.end(); status != 0 {
		t.Errorf("ended with %d", status)
	}
	if written := tty.raw.String(); strings.Contains(written, "waiting") || !strings.Contains(written, "gave up after") {
		t.Errorf("the terminal was sent %q", written)
	}
	holder.finish().want(t, 0, "", "")
}

// After Ctrl-C, portalocker dies as the command or the wait did, so that a shell's
// loop around it ends, too.
func TestRunDiesOfTheTerminalsSignal(t *testing.T) {
	t.Parallel()
	const controlC, controlBackslash = "\x03", "\x1c"
	path, holder := heldLock(t)
	for _, c := range []struct {
		key  string
		lock string
		want syscall.Signal
	}{
		{controlC, lockFile(t), unix.SIGINT},          // the command is killed
		{controlBackslash, lockFile(t), unix.SIGQUIT}, //
		{controlC, path, unix.SIGINT},                 // the wait ends
		{controlBackslash, path, unix.SIGQUIT},
	} {
		cmd := portalockerCommand("run", c.lock, "--", "/bin/sh", "-c", "ulimit -c 0; echo ready $$; exec sleep 1000")
		tty := newScreen(t, cmd)
		p := startCommand(t, cmd)
		if c.lock == path {
			tty.until("portalocker: waiting, held by ")
		} else {
			p.ready()
		}
		if _, err := tty.terminal.WriteString(c.key); err != nil {
			t.Fatal(err)
		}
		p.end()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != c.want || ws.CoreDump() {
			t.Errorf("%s: %v, want %v", c.lock, cmd.ProcessState, c.want)
		}
		if c.lock != path {
			mustBeFree(t, c.lock)
		}
	}
	holder.finish().want(t, 0, "", "")
}

func TestWaitLineText(t *testing.T) {
	for _, c := range []struct {
		line    waitLine
		waited  time.Duration
		holders []string
		want    string
	}{
		{waitLine{lock: "a"}, 300 * time.Millisecond, nil, "waiting: a"},
		{waitLine{lock: "a"}, 61900 * time.Millisecond, []string{"pid 7 (x)"}, "waiting 1m1s, held by pid 7 (x): a"},
		{waitLine{lock: "a", timeout: 90 * time.Second}, 2 * time.Second, []string{"pid 7", "pid 8"}, "waiting 2s of 1m30s, held by pid 7, pid 8: a"},
		{waitLine{lock: "a\x1b[2J"}, 0, nil, `waiting: "a\x1b[2J"`},
		{waitLine{lock: "gpu", slots: 4}, 0, nil, "waiting: one of the 4 slots of gpu"},
	} {
		if c.line.timeout == 0 {
			c.line.timeout = portalocker.Forever
		}
		if got := c.line.text(c.waited, c.holders); got != "portalocker: "+c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestWaitLineClip(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
		cells int
	}{
		{"abc", 3, "abc", 3},
		{"abc", 2, "ab", 2},
		{"abc", 0, "", 0},
		{"", 9, "", 0},
		{"a漢字", 5, "a漢字", 5},
		{"a漢字", 4, "a漢", 3},
	} {
		if got, cells := clip(c.text, c.limit); got != c.want || cells != c.cells {
			t.Errorf("%q in %d: got %q, %d", c.text, c.limit, got, cells)
		}
	}
}
