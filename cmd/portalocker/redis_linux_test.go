package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

// A Redis lock dies with portalocker, and the command must, too.
func TestRunRedisKilledEndsTheCommand(t *testing.T) {
	s := redistest.Start(t)
	p := start(t, underRedis(s.URL(), "job", "--", self, "@deaf")...)
	p.ready()
	next := start(t, underRedis(s.URL(), "--verbose", "job", "--", self, "@hold")...)
	next.expect(next.err, "portalocker: acquire job: already locked") // waits from now on
	p.send(unix.SIGKILL)
	if out, err := io.ReadAll(p.out); err != nil || len(out) > 0 { // the command has had it open
		t.Errorf("read %q (%v)", out, err)
	}
	p.end()
	next.ready()
	if r := next.finish(); r.status != 0 {
		t.Errorf("the next: %+v", r)
	}
}

// So does one that the shell has to run as a script, which is started twice.
func TestRunRedisKilledEndsAScript(t *testing.T) {
	s := redistest.Start(t)
	script := filepath.Join(testproc.Folder(t), "script")
	if err := os.WriteFile(script, []byte("echo ready $$\nread line\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := start(t, underRedis(s.URL(), "job", "--", script)...)
	p.ready()
	p.send(unix.SIGKILL)
	if _, err := io.ReadAll(p.out); err != nil {
		t.Error(err)
	}
}

// A password does not stay where "ps" shows it, and is still the right one.
func TestRedisPasswordIsHiddenInTheListOfProcesses(t *testing.T) {
	const secret = "hunter2"
	s := redistest.Start(t, "--requirepass", secret)
	url := "redis://default:" + secret + "@" + s.Addr() + "/3"
	for _, args := range [][]string{
		{"run", "--redis", url, "job", "--", self, "@hold", secret + "-to-be-seen"},
		{"run", "-x", "--redis=" + url, "job", "--", self, "@hold", secret + "-to-be-seen"},
	} {
		p := start(t, args...)
		p.ready()
		got, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Replace(strings.Join(append([]string{self}, args...), "\x00")+"\x00", secret, strings.Repeat("*", len(secret)), 1)
		if string(got) != want {
			t.Errorf("the arguments are\n%q, want\n%q", got, want)
		}
		p.finish().want(t, 0, "", "")
	}
}

func TestHideKeepsItsHandsOffOtherStrings(t *testing.T) {
	const constant = "secret"
	made := strings.Clone(constant)
	hide(constant) // to write there would end the program
	hide(made)
	hide("")
	if made != "secret" {
		t.Error("a string that is no argument was changed")
	}
}

func TestRunRedisShowsTheWaitOnATerminal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	holder := heldOn(t, s.URL(), "job")
	cmd := portalockerCommand(underRedis(s.URL(), "job", "--", "/bin/sh", "-c", "echo done >&2")...)
	tty := newScreen(t, cmd)
	p := startCommand(t, cmd)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	by := fmt.Sprintf("held by pid %d on %s for ", holder.cmd.Process.Pid, host)
	tty.until("\rportalocker: waiting, " + by)
	tty.until("\rportalocker: waiting 1s, " + by)
	holder.finish().want(t, 0, "", "")
	tty.until("done\r\n")
	if status := p.end(); status != 0 {
		t.Errorf("ended with %d", status)
	}
}
