//go:build unix

package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// caught are the signals that end the wait, as they would end flock(1), and that go
// on to the command. The first three are the promised ones; the terminal's Ctrl-\ is
// SIGQUIT; and the last two are for whoever has the PID of this program, say from
// its PID file, and means the command.
var caught = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// forward sends the command a signal that this program got.
func forward(sig os.Signal, p *os.Process) error {
	if fromTerminal(sig, p.Pid) {
		return nil
	}
	if err := p.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// fromTerminal says that the command has got the signal from the terminal already.
//
// The terminal sends the signal of a key to the whole foreground process group
// (termios(3), ISIG), the command included: it would get it twice, and for many
// programs a second Ctrl-C means to stop without cleaning up. So the signals of
// keys are not sent on while this program and the command are both in that group.
// The price is that "kill -INT" of this program alone does not reach the command
// then; where nobody can press a key it does, and other signals always do: a
// second SIGTERM or SIGHUP, if the whole group got one, does less harm than none.
func fromTerminal(sig os.Signal, pid int) bool {
	if sig != unix.SIGINT && sig != unix.SIGQUIT {
		return false
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // no terminal
	}
	defer unix.Close(tty) //nolint:errcheck // nothing was written
	foreground, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	own, err2 := unix.Getpgid(0)
	group, err3 := unix.Getpgid(pid)
	return cmp.Or(err, err2, err3) == nil && own == foreground && group == foreground
}

// inherit lets the programs that this one starts have the file, under the number it
// has here, which was free: any other might be one that the caller means for the
// command.
func inherit(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = conn.Control(func(fd uintptr) { _, setErr = unix.FcntlInt(fd, unix.F_SETFD, 0) })
	return cmp.Or(err, setErr)
}

const canReplaceProcess = true

// replace makes this process the command; it returns only if that fails.
func (c *child) replace(sigs *signals) (status int, err error) {
	if c.inherits != nil {
		if err := inherit(c.inherits); err != nil {
			return statusOS, err
		}
	}
	cmd := c.prepare()
	if cmd.Err != nil {
		return c.notStarted(cmd, cmd.Err)
	}
	// From here on a signal ends this process by itself, or is the command's.
	sigs.stop()
	if sig := sigs.next(); sig != nil {
		return signalStatus(sig), stopped{sig}
	}
	err = unix.Exec(cmd.Path, cmd.Args, cmd.Environ())
	if script := c.asScript(cmd, err); script != nil {
		err = unix.Exec(script.Path, script.Args, script.Environ())
	}
	runtime.KeepAlive(c.inherits) // a file that is collected is closed
	return c.notStarted(cmd, err)
}

// shellCommand runs a line by the shell that flock(1) takes.
func shellCommand(line string) *exec.Cmd {
	return exec.Command(cmp.Or(os.Getenv("SHELL"), "/bin/sh"), "-c", line)
}

// findAsC finds a program where execvp(3) does and Go does not: by a PATH that names
// the working directory, and in the default places if there is no PATH at all.
func findAsC(cmd *exec.Cmd) {
	switch {
	case errors.Is(cmd.Err, exec.ErrDot):
		cmd.Err = nil
	case cmd.Args[0] == "":
		cmd.Err = unix.ENOENT
	}
	if _, ok := os.LookupEnv("PATH"); ok || !errors.Is(cmd.Err, exec.ErrNotFound) {
		return
	}
	for _, dir := range []string{"/bin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + cmd.Args[0]); err == nil {
			cmd.Path, cmd.Err = path, nil
			return
		}
	}
}

func unknownFormat(err error) bool { return errors.Is(err, unix.ENOEXEC) }
