//go:build unix && !linux

package main

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// endWithParent does nothing: the command lives on when this program is killed. The
// help of "portalocker run" says so.
func endWithParent(*exec.Cmd) {}

const canTerminate = true

// family is the command alone; what it has started cannot be told here.
type family struct{ command *os.Process }

func familyOf(p *os.Process) *family { return &family{p} }

// terminate sends SIGTERM, and SIGCONT, as one that is stopped would not get it.
func (f *family) terminate() error { return f.signal(unix.SIGTERM, unix.SIGCONT) }

func (f *family) kill() error { return f.signal(unix.SIGKILL) }

// rest is closed: nobody is known to be left.
func (f *family) rest() <-chan struct{} {
	gone := make(chan struct{})
	close(gone)
	return gone
}

func (f *family) signal(sigs ...os.Signal) (errs error) {
	for _, sig := range sigs {
		if err := f.command.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}
