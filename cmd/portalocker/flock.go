package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker/internal/oslock"
)

// flockCall is one call of "portalocker flock", which does what flock(1) of
// util-linux does. That program is the specification, the order of its steps too.
type flockCall struct {
	flockArgs
	name     string // how this program was called, for advice
	std      streams
	file     *os.File // what is locked; never closed, as the lock may end with that
	sayError error    // the first failure to write to standard output
}

// underFlocksName says that a program was called as flock(1) is.
func underFlocksName(program string) bool {
	name := filepath.Base(program)
	return name == "flock" || strings.EqualFold(name, "flock.exe")
}

// newFlock is for the help and the completion; execute goes past it, as to build
// all commands takes longer than to lock.
func newFlock(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "flock [options] FILE|DIRECTORY COMMAND [ARG...]",
		Short:                 "Do what flock(1) does, with the same options",
		Long:                  flockLong,
		Example:               flockExample,
		DisableFlagParsing:    true, // getopt(3) has rules of its own
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return &exit{status: flock("portalocker flock", args, std)}
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolP("shared", "s", false, "share the lock with others that do so")
	f.BoolP("exclusive", "x", false, "have the lock alone (default); also -e")
	f.BoolP("unlock", "u", false, "drop the lock")
	f.BoolP("nonblock", "n", false, "do not wait: fail if the lock is held; also --nb")
	f.StringP("timeout", "w", "", "wait `SECONDS` at most; 0.5 is half a second; also --wait")
	f.StringP("conflict-exit-code", "E", "", "exit with status `N` if the lock was not to be had (default 1)")
	f.BoolP("close", "o", false, "do not pass the lock on to COMMAND")
	f.BoolP("no-fork", "F", false, "become COMMAND instead of starting it (not on Windows)")
	f.Bool("verbose", false, "tell how long it took to get the lock, or why it failed")
	f.BoolP("version", "V", false, "print the version")
	return cmd
}

// flock is the whole program flock(1); it returns the exit status. What it has
// locked stays so: the end of the process closes the file, and with it ends the
// lock, unless others have inherited it.
func flock(name string, args []string, std streams) int {
	f := &flockCall{name: name, std: std}
	var err error
	if f.flockArgs, err = parseFlock(args); err == nil {
		err = f.run()
	}
	end := &exit{}
	if errors.As(err, &end) && end.err != nil {
		f.warn(end.err)
	}
	if f.sayError != nil {
		f.warn(fmt.Errorf("write error: %s", reason(f.sayError)))
		return 1
	}
	return end.status
}

// run gives nil or an *exit.
func (f *flockCall) run() error {
	switch f.asked {
	case 'h':
		f.say("%s", strings.ReplaceAll(flockHelp, "NAME", f.name))
		return nil
	case 'V':
		f.say("flock of portalocker %s\n", version())
		return nil
	}
	signalsAsInC()
	if err := f.open(); err != nil {
		return err
	}
	if err := f.settleTimeout(); err != nil { // only now, when the file is there
		return err
	}
	begin := time.Now()
	if err := f.lock(); err != nil {
		return f.notLocked(err)
	}
	if f.verbose {
		took := time.Since(begin)
		f.say("flock: getting lock took %d.%06d seconds\n", took/time.Second, took%time.Second/time.Microsecond)
	}
	if f.ofDescriptor() {
		return nil
	}
	return f.execute()
}

func (f *flockCall) open() (err error) {
	switch {
	case f.ofDescriptor() && !inheritable():
		return usageError("locks of this system end with the process that takes them: give a file and a command")
	case f.ofDescriptor():
		if f.file, err = inheritedFile(f.fd); err != nil {
			return f.notLocked(err)
		}
		return nil
	case f.noFork && !canReplaceProcess:
		return usageError("--no-fork: a program cannot become another one on this system")
	}
	if f.file, err = openForFlock(f.path, os.O_RDONLY|os.O_CREATE); err == nil {
		return nil
	}
	status := statusNoInput
	switch {
	case isAnyOf(err, exhausted):
		status = statusOS
	case isAnyOf(err, uncreatable):
		status = statusCannotMake
	}
	return &exit{status: status, err: fmt.Errorf("cannot open lock file %s: %s", f.path, reason(err))}
}

// execute runs the command, or becomes it. It inherits the open file unless --close
// is given.
func (f *flockCall) execute() error {
	c := &child{argv: f.command, shell: f.shell, byShell: f.byShell, std: f.std}
	if f.verbose {
		f.say("flock: executing %s\n", c.program())
	}
	if !f.close {
		c.inherits = f.file
	}
	// Signals do here what they do to flock(1), and the command keeps the lock. Where
	// it cannot inherit that, it must not be left alone.
	sigs := &signals{}
	if !inheritable() {
		sigs = catchSignals()
		defer sigs.stop()
	}
	run := c.run
	if f.noFork {
		run = c.replace
	}
	status, err := run(sigs)
	if err != nil {
		err = fmt.Errorf("failed to execute %s: %s", c.program(), reason(err))
	}
	return &exit{status: status, err: err}
}

// inheritable: locks belong to the open file, so that they pass on with it.
func inheritable() bool {
	mechanism, err := oslock.Resolve(oslock.Default)
	return err == nil && mechanism == oslock.Flock
}

func (f *flockCall) say(format string, args ...any) {
	if _, err := fmt.Fprintf(f.std.out, format, args...); err != nil && f.sayError == nil {
		f.sayError = err
	}
}

// warn writes a message, and the advice that goes with some. Nothing is left to be
// done if standard error is closed.
func (f *flockCall) warn(err error) {
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(f.std.err, "flock:", plain(text))
	}
	if errors.As(err, new(unclear)) {
		_, _ = fmt.Fprintf(f.std.err, "Try '%s --help' for more information.\n", f.name)
	}
}

// reason is an error as the C library words it, without what Go adds.
func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	}
	return err.Error()
}

const flockHelp = `
Usage:
 NAME [options] <file>|<directory> <command> [<argument>...]
 NAME [options] <file>|<directory> -c <command>
 NAME [options] <file descriptor number>

Hold a file lock while a command runs, or lock a file that the shell has open.

Options:
 -s, --shared                       share the lock with others that do so
 -e, -x, --exclusive                have the lock alone (default)
 -u, --unlock                       drop the lock
 -n, --nb, --nonblock               do not wait: fail if the lock is held
 -w, --wait, --timeout <seconds>    wait so long at most; 0.5 is half a second
 -E, --conflict-exit-code <number>  exit status if the lock was not to be had
 -o, --close                        do not pass the lock on to the command
 -c, --command <command>            let the shell run this line; after the file
 -F, --no-fork                      become the command instead of starting it
     --verbose                      tell how long it took, or why it failed
 -h, --help                         this
 -V, --version                      print the version

'portalocker help flock' tells more.
`

var flockLong = strings.TrimSpace(`
Do what flock(1) of util-linux does: the same options, exit statuses and streams, on
every system. It also does so when it is run under the name flock:

  ln -s "$(command -v portalocker)" ~/bin/flock

Its three forms are

  flock [options] FILE|DIRECTORY COMMAND [ARG...]
  flock [options] FILE|DIRECTORY -c LINE            LINE is for $SHELL, or /bin/sh
  flock [options] NUMBER                            of a descriptor that the shell has open

and options come first in all of them.

FILE is created if it is not there. COMMAND inherits the lock, and what it leaves in
the background keeps it: flock does not unlock. In that it is not "portalocker run";
nor in that signals end it without reaching COMMAND, and in that the kernel, not the
order of arrival, says who is next. With NUMBER the lock belongs to whoever has the
file open, and ends with "flock -u" or the last close.

What is different from flock(1) of util-linux 2.38: a FILE that is a named pipe is
locked without waiting for somebody who writes to it. What --verbose says comes before
the output of COMMAND in a pipe, too. Of the signals that the caller ignores, COMMAND
finds only SIGHUP, SIGINT and, with that, SIGQUIT ignored. On Windows, Solaris and AIX,
where a lock cannot be inherited, there is no form with NUMBER, the lock ends with
flock, and so signals reach COMMAND.

Exit status: that of COMMAND, and
  1    the lock was not to be had in time (see -E)
  64   wrong usage
  65   the file cannot be locked, or NUMBER is not open
  66   FILE cannot be opened
  69   COMMAND cannot be executed
  71   the system is out of something: descriptors, memory, processes, locks
  73   FILE cannot be created: read-only or full filesystem
  128+N  signal N ended COMMAND`)

var flockExample = strings.Trim(`
  portalocker flock job.lock ./backup.sh                    one backup at a time, others wait
  portalocker flock -n job.lock ./backup.sh                 or give up at once
  portalocker flock -w 0.5 -E 75 job.lock ./backup.sh       or after half a second, with status 75
  portalocker flock -s data.lock -c 'sort data | head'      a line for the shell
  ( portalocker flock 9; ./step1; ./step2 ) 9>job.lock      the rest of the subshell
  exec 9>job.lock; portalocker flock -n 9 || exit 1         the rest of the script`, "\n")
