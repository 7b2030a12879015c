package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// child is the command that runs under a lock.
type child struct {
	argv     []string
	byShell  bool     // the shell is to run this instead:
	shell    string   //
	extra    []string // for the environment
	inherits *os.File // nil for nothing but the standard streams
	std      streams
	leash    *leash // nil if the lock cannot be lost

	killedBy os.Signal // what ended it; nil if no signal has
	lost     bool      // the lock was lost before that
}

// String is the command as --verbose shows it.
func (c *child) String() string {
	if c.byShell {
		return fmt.Sprintf("by the shell: %q", c.shell)
	}
	return fmt.Sprintf("%q", c.argv)
}

// program is what is started, as it was named.
func (c *child) program() string { return c.prepare().Args[0] }

// run runs the command to its end, and passes signals on to it. The status is the
// one that this program is to end with; the error is for a command that could not
// be run.
func (c *child) run(sigs *signals) (status int, err error) {
	if c.inherits != nil {
		if err := inherit(c.inherits); err != nil {
			return statusOS, err
		}
	}
	ended := make(chan error, 1)
	cmd, err := c.start(ended)
	if err != nil {
		return c.notStarted(cmd, err)
	}
	if sigs.c == nil {
		return c.ended(cmd, cmd.Wait()) // with one thread less to make
	}
	if c.leash == nil {
		go func() { ended <- cmd.Wait() }()
	}
	for {
		select {
		case sig := <-sigs.c:
			if err := forward(sig, cmd.Process); err != nil {
				complain(c.std, fmt.Errorf("cannot pass the signal on to process %d: %v: %w", cmd.Process.Pid, sig, err))
			}
		case <-c.leash.lost():
			c.lost = true
			return c.ended(cmd, c.putDown(cmd.Process, sigs, ended))
		case err := <-ended:
			return c.ended(cmd, err)
		}
	}
}

// start starts the command. On a leash it ends with the thread that starts it, which
// therefore waits for it: then ended gets what Wait says.
func (c *child) start(ended chan<- error) (cmd *exec.Cmd, err error) {
	if c.leash == nil {
		return c.begin()
	}
	begun := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err = c.begin()
		wait := cmd.Wait
		failed := err != nil
		close(begun)
		if !failed {
			ended <- wait()
		}
	}()
	<-begun
	return cmd, err
}

func (c *child) begin() (*exec.Cmd, error) {
	cmd := c.prepare()
	err := cmd.Start()
	if script := c.asScript(cmd, err); script != nil {
		return script, script.Start()
	}
	return cmd, err
}

// ended is the result of a command after what Wait said of it.
func (c *child) ended(cmd *exec.Cmd, err error) (int, error) {
	state := cmd.ProcessState
	if state == nil {
		return statusOS, err
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		c.killedBy = ws.Signal()
		return signalStatus(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// prepare makes the command, which is not to be found yet if its Err says so.
func (c *child) prepare() *exec.Cmd {
	var cmd *exec.Cmd
	if c.byShell {
		cmd = shellCommand(c.shell)
	} else {
		cmd = exec.Command(c.argv[0], c.argv[1:]...)
	}
	return c.connect(cmd)
}

func (c *child) connect(cmd *exec.Cmd) *exec.Cmd {
	findAsC(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.std.in, c.std.out, c.std.err
	cmd.Env = append(os.Environ(), c.extra...) // the last of a name counts
	if c.leash != nil {
		endWithParent(cmd)
	}
	return cmd
}

// asScript is what to run instead when the system does not know the format of the
// command's file: the shell takes it for a script without a first line that says
// so, as execvp(3) and with it flock(1) do. It is nil for every other error.
func (c *child) asScript(cmd *exec.Cmd, err error) *exec.Cmd {
	if !unknownFormat(err) {
		return nil
	}
	return c.connect(exec.Command("/bin/sh", append([]string{cmd.Path}, cmd.Args[1:]...)...))
}

func (c *child) notStarted(cmd *exec.Cmd, err error) (int, error) {
	return startStatus(err), cannotExecute(cmd.Args[0], cmd.Err == nil, err)
}
