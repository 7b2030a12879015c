package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/portalocker/portalocker"
)

// flockArgs is the command line of flock(1).
type flockArgs struct {
	flags    portalocker.LockFlags // Exclusive, Shared or Unblock
	nonblock bool
	timed    bool
	seconds  float64 // how long to wait, if timed
	conflict int     // the exit status
	close    bool
	noFork   bool
	verbose  bool
	asked    rune // 'h' or 'V' if that is all that is asked for

	path    string   // of what to lock, and then
	command []string // what to run
	byShell bool     // or, if this is set,
	shell   string   // what the shell is to run
	fd      int      // or, with neither, the descriptor to lock
}

// unclear is an error of usage after which flock(1) points to its help. Its text may
// be empty.
type unclear string

func (u unclear) Error() string { return string(u) }

var flockOptions = []longOption{
	{"shared", false, 's'},
	{"exclusive", false, 'x'},
	{"unlock", false, 'u'},
	{"nonblocking", false, 'n'}, // "--nonblock" is short for it
	{"nb", false, 'n'},
	{"timeout", true, 'w'},
	{"wait", true, 'w'},
	{"conflict-exit-code", true, 'E'},
	{"close", false, 'o'},
	{"no-fork", false, 'F'},
	{"verbose", false, 'v'}, // there is no such letter
	{"help", false, 'h'},
	{"version", false, 'V'},
}

func parseFlock(args []string) (flockArgs, error) {
	f := flockArgs{flags: portalocker.Exclusive, conflict: statusConflict}
	if len(args) == 0 {
		return f, &exit{status: statusUsage, err: unclear("not enough arguments")}
	}
	// "?" is there as flock(1) has it: an option that only points to the help.
	g := getopt{letters: "sexnoFuw:E:hV?", long: flockOptions, args: args}
	for {
		letter, argument, err := g.next()
		switch {
		case err != nil:
			return f, &exit{status: statusUsage, err: unclear(err.Error())}
		case letter == '?':
			return f, &exit{status: statusUsage, err: unclear("")}
		case letter == 0 && f.noFork && f.close:
			return f, usageError("the --no-fork and --close options are incompatible")
		case letter == 0:
			return f, f.operands(g.args)
		}
		if err := f.option(letter, argument); err != nil || f.asked != 0 {
			return f, err
		}
	}
}

func (f *flockArgs) option(letter rune, argument string) (err error) {
	switch letter {
	case 's':
		f.flags = portalocker.Shared
	case 'e', 'x':
		f.flags = portalocker.Exclusive
	case 'u':
		f.flags = portalocker.Unblock
	case 'n':
		f.nonblock = true
	case 'o':
		f.close = true
	case 'F':
		f.noFork = true
	case 'v':
		f.verbose = true
	case 'h', 'V':
		f.asked = letter
	case 'w':
		f.timed = true
		if f.seconds, err = strtod(argument); err != nil {
			return usageError("invalid timeout value: '%s'%w", argument, err)
		}
	case 'E':
		if f.conflict, err = strtol(argument); err != nil {
			return usageError("invalid exit code: '%s'%w", argument, err)
		}
		if f.conflict < 0 || f.conflict > 255 {
			return usageError("exit code out of range (expected 0 to 255)")
		}
	}
	return nil
}

// operands takes what follows the options.
func (f *flockArgs) operands(args []string) (err error) {
	switch {
	case len(args) == 0:
		return usageError("requires file descriptor, file or directory")
	case len(args) == 1:
		if f.fd, err = strtol(args[0]); err != nil {
			return usageError("bad file descriptor: '%s'%w", args[0], err)
		}
	case args[1] != "-c" && args[1] != "--command":
		f.path, f.command = args[0], args[1:]
	case len(args) != 3:
		return usageError("%s requires exactly one command argument", args[1])
	default:
		f.path, f.byShell, f.shell = args[0], true, args[2]
	}
	return nil
}

// ofDescriptor: a file that the caller has open is to be locked, and nothing to run.
func (f *flockArgs) ofDescriptor() bool { return !f.byShell && f.command == nil }

var (
	errOutOfRange = errors.New(": Numerical result out of range")
	errNoNumber   = errors.New("") // flock(1) adds nothing
)

// isspace is what strtol(3) and strtod(3) pass over in front of a number.
const isspace = " \t\n\v\f\r"

// strtol reads a decimal number of 32 bits.
func strtol(s string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimLeft(s, isspace), 10, 32)
	return int(n), numberError(err)
}

// strtod reads a number as C does: 0.5, .5, 1e3, 0x10 and the like.
func strtod(s string) (float64, error) {
	digits := strings.ToLower(strings.TrimLeft(s, isspace))
	if strings.Contains(digits, "_") {
		return 0, errNoNumber // Go has it between digits
	}
	if strings.Contains(digits, "0x") && !strings.Contains(digits, "p") {
		digits += "p0" // Go wants an exponent there
	}
	n, err := strconv.ParseFloat(digits, 64)
	return n, numberError(err)
}

func numberError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errOutOfRange
	}
	return errNoNumber
}
