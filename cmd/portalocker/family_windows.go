package main

import (
	"errors"
	"os"
	"os/exec"
)

// endWithParent does nothing: the command lives on when this program is killed. The
// help of "portalocker run" says so.
func endWithParent(*exec.Cmd) {}

// canTerminate is false: a process can only be killed.
const canTerminate = false

// family is the command alone.
type family struct{ command *os.Process }

func familyOf(p *os.Process) *family { return &family{p} }

func (f *family) terminate() error { return f.kill() }

func (f *family) kill() error {
	if err := f.command.Kill(); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// rest is closed: nobody is known to be left.
func (f *family) rest() <-chan struct{} {
	gone := make(chan struct{})
	close(gone)
	return gone
}
