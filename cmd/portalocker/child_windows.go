package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// caught are Ctrl-C and Ctrl-Break, and the closing of the console, a log-off or a
// shutdown. This program must outlive them, to wait for the command.
var caught = []os.Signal{os.Interrupt, syscall.SIGTERM}

// forward has nothing to do: the console tells all its programs, the command
// included, and there are no signals from elsewhere.
func forward(os.Signal, *os.Process) error { return nil }

// fromTerminal would make this program die of a signal, which is not done here.
func fromTerminal(os.Signal, int) bool { return false }

// inherit does nothing: a handle that the command does not know of would be of no
// use to it, and a lock of LockFileEx belongs to the process besides.
func inherit(*os.File) error { return nil }

const canReplaceProcess = false

func (c *child) replace(*signals) (status int, err error) {
	return statusUsage, errors.ErrUnsupported
}

// shellCommand leaves the line as it is: cmd.exe does not understand the quoting
// that programs otherwise get their arguments by. With /S it takes off the first
// and the last quotation mark, and nothing else.
func shellCommand(line string) *exec.Cmd {
	shell := cmp.Or(os.Getenv("ComSpec"), "cmd.exe")
	cmd := exec.Command(shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `"` + shell + `" /S /C "` + line + `"`}
	return cmd
}

// findAsC keeps Go's refusal of a PATH that names the working directory: Windows
// looks there without being told to.
func findAsC(*exec.Cmd) {}

func unknownFormat(error) bool { return false }
