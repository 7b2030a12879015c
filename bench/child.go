package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// childArg, followed by a task, starts this program as a child of itself. Every
// measurement runs in children, so that none inherits threads, memory or garbage
// from the one before.
const childArg = "child"

// task is what a child is to do.
type task struct {
	Role     string
	Argv     []string      `json:",omitempty"` // of a command
	Who      string        `json:",omitempty"`
	Path     string        `json:",omitempty"`
	Counters string        `json:",omitempty"` // the file of the shared counters
	N        int           `json:",omitempty"` // how many; or which one
	Warm     int           `json:",omitempty"` // how many before those that are measured
	Time     time.Duration `json:",omitempty"` // how long
}

// role is the body of a child.
type role func(t task, parent *link) error

// link is how parent and child talk: one JSON value a message, over pipes.
type link struct {
	in  *json.Decoder
	out *json.Encoder
}

func newLink(in io.Reader, out io.Writer) *link {
	return &link{json.NewDecoder(in), json.NewEncoder(out)}
}

func (l *link) say(v any) error     { return l.out.Encode(v) }
func (l *link) hear(into any) error { return l.in.Decode(into) }

// signal is a message that says only that it is time.
func (l *link) signal() error { return l.say(struct{}{}) }

func (l *link) awaitSignal() error { return l.hear(&struct{}{}) }

// child is a child process as its parent sees it.
type child struct {
	*link
	ctx    context.Context
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer
}

// start begins a child, which is killed when ctx ends.
func start(ctx context.Context, t task) (*child, error) {
	command, err := commandOf(t.Who)
	if err != nil {
		return nil, err
	}
	arg, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	c := &child{ctx: ctx, cmd: exec.CommandContext(ctx, command[0], append(command[1:], string(arg))...)}
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	// Children do not outlive a killed parent. The signal comes when the thread
	// that started the child ends (PR_SET_PDEATHSIG in prctl(2)); Go ends threads
	// only for goroutines that are locked to one, and here is none.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.stdin, c.link = in, newLink(out, in)
	return c, nil
}

// commandOf is the command line of the children of who, without their task.
func commandOf(who string) ([]string, error) {
	if who == pythonOurs || who == pythonFilelock {
		return pythonCommand()
	}
	self, err := os.Executable()
	return []string{self, childArg}, err
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// hear waits for a message. If the child ends instead, the error tells how.
func (c *child) hear(into any) error {
	err := c.link.hear(into)
	if err == nil {
		return nil
	}
	if ended := c.end(); ended != nil {
		return ended
	}
	return fmt.Errorf("child ended without an answer: %w", err)
}

func (c *child) awaitSignal() error { return c.hear(&struct{}{}) }

// end tells the child, by closing its input, that nothing more comes, and waits
// for it. It may be called twice; then only the first tells what went wrong.
func (c *child) end() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	_ = c.stdin.Close() // of a child that has ended, it is closed
	err := c.cmd.Wait()
	if err == nil {
		return nil
	}
	if c.ctx.Err() != nil {
		err = context.Cause(c.ctx)
	}
	if text := bytes.TrimSpace(c.stderr.Bytes()); len(text) > 0 {
		return fmt.Errorf("child: %w: %s", err, text)
	}
	return fmt.Errorf("child: %w", err)
}

// ask starts a child, hears its one answer, and waits for its end.
func ask[T any](ctx context.Context, t task) (answer T, err error) {
	c, err := start(ctx, t)
	if err != nil {
		return answer, err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	err = c.hear(&answer)
	return answer, err
}

// beChild does the task that the parent has passed as an argument.
func beChild(arg string) error {
	var t task
	if err := json.Unmarshal([]byte(arg), &t); err != nil {
		return err
	}
	for _, w := range rows() {
		if do, ok := w.roles[t.Role]; ok {
			return do(t, newLink(os.Stdin, os.Stdout))
		}
	}
	return fmt.Errorf("no role %q", t.Role)
}
