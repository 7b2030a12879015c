package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// runOptions is the command line of "portalocker run".
type runOptions struct {
	shared, exclusive bool
	nonblock          bool
	timeout           timeoutFlag
	conflict          statusFlag
	close             bool
	noFork            bool
	verbose           bool
	temp, pid         bool
	slots             slotsFlag
	directory         string
	mechanism         mechanismFlag
	redis             serverFlag
	pywire            bool
	leaseTTL          durationFlag
	killAfter         durationFlag

	lock    string
	shell   shellFlag // what the shell is to run; "" if there is a command
	command []string  // and its arguments
}

func newRun(std streams) *cobra.Command {
	o := &runOptions{
		timeout: timeoutFlag(portalocker.Forever), conflict: statusConflict,
		leaseTTL: durationFlag(redislock.DefaultLeaseTTL), killAfter: durationFlag(10 * time.Second),
	}
	cmd := &cobra.Command{
		Use:                   "run [options] LOCK [--] COMMAND [ARG...]",
		Short:                 "Hold a lock while a command runs",
		Long:                  runLong,
		Example:               runExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(cmd, args); err != nil {
				return err
			}
			return o.run(cmd.Context(), std)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows LOCK belongs to COMMAND
	f.SortFlags = false
	f.BoolVarP(&o.shared, "shared", "s", false, "share the lock with others that do so")
	f.BoolVarP(&o.exclusive, "exclusive", "x", false, "have the lock alone (default)")
	f.BoolVarP(&o.nonblock, "nonblock", "n", false, "do not wait: fail if the lock is held")
	f.VarP(&o.timeout, "timeout", "w", "wait so long at most (default: without limit)")
	f.VarP(&o.conflict, "conflict-exit-code", "E", "exit status if the lock was not to be had")
	f.BoolVarP(&o.close, "close", "o", false, "do not pass the lock on to COMMAND")
	f.BoolVarP(&o.noFork, "no-fork", "F", false, "become COMMAND instead of starting it (not on Windows)")
	f.VarP(&o.shell, "command", "c", "let the shell run this line")
	f.BoolVar(&o.verbose, "verbose", false, "tell about the wait: for whom, how long")
	f.BoolVar(&o.temp, "temp", false, "remove LOCK at the end")
	f.BoolVar(&o.pid, "pid", false, "LOCK is a PID file, removed at the end, and LOCK.lock the lock")
	f.Var(&o.slots, "slots", "LOCK is a name, and N may hold it at a time")
	f.StringVar(&o.directory, "directory", "", "`DIR` of the files of --slots (default: of temporary files)")
	f.Var(&o.mechanism, "mechanism", "what to lock by (default: the platform's own)")
	f.Var(&o.redis, "redis", "LOCK is a name on this server; see 'portalocker redis'")
	f.BoolVar(&o.pywire, "pywire", false, "with --redis: exclude Python portalocker's RedisLock")
	f.Var(&o.leaseTTL, "lease-ttl", "with --redis: how long silence may last")
	f.Var(&o.killAfter, "kill-after", "with --redis: from SIGTERM to SIGKILL")
	completeServer(cmd)
	noFiles := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveNoFileComp)
	for flag, complete := range map[string]cobra.CompletionFunc{
		"mechanism": completeMechanisms, "timeout": noFiles, "conflict-exit-code": noFiles, "command": noFiles, "slots": noFiles,
		"lease-ttl": noFiles, "kill-after": noFiles,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // fails for a flag that is not defined above
	}
	return cmd
}

// parse takes LOCK and COMMAND from the arguments, and reports options that do not
// go together, before anything is touched.
func (o *runOptions) parse(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageError("no LOCK given")
	case args[0] == "":
		return usageError("LOCK is an empty string: a variable that is not set?")
	}
	o.lock, o.command = args[0], args[1:]
	switch rest := o.command; {
	case len(rest) > 0 && rest[0] == "--":
		o.command = rest[1:]
	case len(rest) > 0 && (rest[0] == "-c" || rest[0] == "--command"): // flock(1) has it there
		if o.shell != "" || len(rest) != 2 {
			return usageError("%s takes one STRING, and no COMMAND beside it", rest[0])
		}
		if err := o.shell.Set(rest[1]); err != nil {
			return usageError("%s: %w", rest[0], err)
		}
		o.command = nil
	}
	switch {
	case o.shell != "" && len(o.command) > 0:
		return usageError("give a COMMAND or --command, not both")
	case o.shell == "" && len(o.command) == 0:
		return usageError("no COMMAND given to run under the lock")
	}
	return o.conflicts(cmd.Flags().Changed)
}

func (o *runOptions) conflicts(given func(option string) bool) error {
	for _, pair := range []struct {
		both bool
		text string
	}{
		{o.shared && o.exclusive, "--shared and --exclusive exclude each other"},
		{o.nonblock && given("timeout"), "--nonblock and --timeout exclude each other: --nonblock is --timeout 0"},
		{o.temp && o.pid, "--temp and --pid exclude each other: a PID file is removed at the end anyway"},
		{o.pid && o.shared, "--pid and --shared exclude each other: a PID file names one holder"},
		{o.noFork && o.close, "--no-fork and --close exclude each other: nobody would hold the lock"},
		{o.noFork && o.temp, "--no-fork and --temp exclude each other: nobody would be left to remove LOCK"},
		{o.noFork && o.pid, "--no-fork and --pid exclude each other: nobody would be left to remove LOCK"},
		{o.slots > 0 && o.shared, "--slots and --shared exclude each other: each holder has a slot alone"},
		{o.slots > 0 && o.temp, "--slots and --temp exclude each other: the files of the slots stay"},
		{o.slots > 0 && o.pid, "--slots and --pid exclude each other: a PID file names one holder"},
		{o.slots > 0 && !o.redis.given && strings.ContainsAny(o.lock, `/\`), "with --slots LOCK is a name, not a path; --directory says where the files are"},
		{o.slots == 0 && !o.redis.given && given("directory"), "--directory goes with --slots: it is where the files of the slots are"},
		{o.slots > 0 && given("directory") && o.directory == "", "--directory is an empty string: a variable that is not set?"},
		{o.noFork && !canReplaceProcess, "--no-fork: a program cannot become another one on " + runtime.GOOS},
	} {
		if pair.both {
			return usageError("%s", pair.text)
		}
	}
	if err := o.redisConflicts(given); err != nil {
		return err
	}
	if o.nonblock {
		o.timeout = 0
	}
	return nil
}

// run takes the lock, runs the command and releases the lock.
func (o *runOptions) run(ctx context.Context, std streams) error {
	l, err := newLock(o)
	if err != nil {
		return err
	}
	if r, ok := l.(remote); ok {
		defer r.close()
	}
	sigs := catchSignals()
	defer sigs.stop()
	sig, err := sigs.cancelling(ctx, func(ctx context.Context) error { return o.acquire(ctx, l, std) })
	if err == nil && sig != nil {
		err = errors.Join(stopped{sig}, l.release()) // the lock came, and so did the signal
	}
	if err != nil {
		failed := lockFailed(err, int(o.conflict))
		if stop := (stopped{}); errors.As(err, &stop) && fromTerminal(stop.signal, os.Getpid()) {
			failed.raise = stop.signal
		}
		return failed
	}
	return o.runUnder(l, sigs, std)
}

// runUnder runs the command under the lock, which it then releases.
func (o *runOptions) runUnder(l lock, sigs *signals, std streams) *exit {
	c := &child{argv: o.command, byShell: o.shell != "", shell: string(o.shell), extra: l.environment(), std: std}
	if !o.close {
		c.inherits = l.file()
	}
	if o.verbose {
		o.tell(std, "running %s", c)
	}
	if r, ok := l.(remote); ok {
		c.leash = &leash{r.held(), time.Duration(o.killAfter)}
		if err := c.leash.lease.Err(); err != nil {
			return &exit{status: statusLost, err: fmt.Errorf("%w; the command was not started", err)}
		}
	}
	var status int
	var err error
	if o.noFork {
		status, err = c.replace(sigs)
	} else {
		status, err = c.run(sigs)
	}
	if err != nil {
		complain(std, err)
	}
	if c.lost {
		return &exit{status: statusLost}
	}
	if err := l.release(); err != nil {
		complain(std, err)
		status = releaseStatus(err, status)
	}
	end := &exit{status: status}
	if c.killedBy != nil && fromTerminal(c.killedBy, os.Getpid()) {
		end.raise = c.killedBy
	}
	return end
}

func (o *runOptions) acquire(ctx context.Context, l lock, std streams) error {
	timeout := time.Duration(o.timeout)
	if timeout == 0 {
		return acquire(ctx, l, 0)
	}
	if !o.verbose {
		if _, ok := terminalWidth(std.err); !ok {
			return acquire(ctx, l, timeout)
		}
		line := &waitLine{out: std.err, lock: o.lock, slots: int(o.slots), files: l.files(), timeout: timeout}
		line.remote, _ = l.(remote)
		return line.during(func() error { return acquire(ctx, l, timeout) })
	}
	begin := time.Now()
	err := acquire(ctx, l, 0)
	if errors.Is(err, portalocker.ErrAlreadyLocked) && ctx.Err() == nil {
		limit := "without limit"
		if timeout != portalocker.Forever {
			limit = fmt.Sprintf("at most %v", timeout)
		}
		o.tell(std, "%s; waiting %s", heldBy(l, err), limit)
		err = acquire(ctx, l, timeout)
	}
	if err == nil {
		o.tell(std, "got the lock %q after %v", o.lock, time.Since(begin).Round(time.Microsecond))
	}
	return err
}

// heldBy is why a lock was not to be had, with all that its server knows of those
// who have it.
func heldBy(l lock, err error) string {
	r, ok := l.(remote)
	var locked *portalocker.LockError
	if !ok || !errors.As(err, &locked) {
		return err.Error()
	}
	names := r.holders()
	if len(names) == 0 {
		return err.Error()
	}
	bare := *locked
	bare.HolderPID = 0 // it is one of the names
	return bare.Error() + " by " + strings.Join(names, ", ")
}

// acquire takes the lock. If it was not to be had, and the library knows of no
// process that runs and has it, it looks longer: for those who inherited it.
func acquire(ctx context.Context, l lock, timeout time.Duration) error {
	err := l.acquire(ctx, timeout)
	var locked *portalocker.LockError
	if errors.As(err, &locked) && locked.Err == portalocker.ErrAlreadyLocked && locked.HolderCommand == "" && len(l.files()) > 0 {
		holders, _ := portalocker.Holders(l.files()[0]) // nobody, where the system does not tell
		for _, h := range holders {
			if !h.Waiting && h.PID != 0 {
				locked.HolderPID, locked.HolderCommand = h.PID, h.Command
				break
			}
		}
	}
	return err
}

func (o *runOptions) tell(std streams, format string, args ...any) {
	complain(std, fmt.Errorf(format, args...))
}

var runLong = strings.TrimSpace(`
Hold a lock on the file LOCK while COMMAND runs, and exit with its status.
With --redis, LOCK is the name of a lock on a Redis server, for all machines.

LOCK is created if it is not there, never changed, and stays (but see --temp). It
can be a directory. Options come before LOCK; all that follows belongs to COMMAND.

COMMAND finds the full path of the lock in PORTALOCKER_LOCK. It inherits the open
lock file, so that the lock stays with COMMAND if portalocker is killed (not with
--close or --mechanism posix, and not on Windows). When COMMAND ends, the lock is
released, also if COMMAND has left processes in the background: in that, portalocker
differs from flock(1). With --no-fork there is no portalocker any more, and the lock
lasts until the last process that inherited it has closed it.

On a terminal, a line tells of a wait: how long already, and who has the lock, where
the system tells (Linux). Elsewhere --verbose does. If the lock was not to be had,
standard error says who has it.

--slots N lets N in at a time. LOCK is then a name for N files in the folder for
temporary files (see --directory), and PORTALOCKER_LOCK the path of the one that is
held: of printer, printer.00.lock and so on. All who share a name must give one N.

--redis URL locks on that server (see 'portalocker redis --help' for the forms of URL,
and where to put a password). COMMAND finds LOCK in PORTALOCKER_LOCK, and in
PORTALOCKER_FENCE a number that is greater than that of each holder before it: a store
that remembers the greatest can refuse what comes too late. Who waits is served in
order of arrival.

Such a lock is free as soon as portalocker dies, and it can be lost: when the
connection to the server breaks, or the server has not heard of portalocker for the
time of --lease-ttl, because that was stopped or the network was. COMMAND must not work
on then. When the lock is lost, COMMAND gets SIGTERM and, if it is stopped, SIGCONT;
after --kill-after (0 for at once) it gets SIGKILL; and the exit status is 75. On Linux
all that COMMAND has started gets these signals, too, unless it has made itself
independent of COMMAND. If portalocker itself is killed, COMMAND is killed at once on
Linux, but not what COMMAND has started, and no COMMAND that is set-user-ID or has
capabilities, such as sudo. On other systems COMMAND alone gets the signals, and works
on if portalocker is killed; on Windows it is ended without a warning. COMMAND may work
on for a moment after another has got the lock: PORTALOCKER_FENCE is for what must not
happen even so.

--pywire makes it a lock on the channel LOCK, as Python portalocker's RedisLock is, so
that programs in Python and COMMAND exclude each other. Locks with and without --pywire
do not. With it there is no order of arrival; PORTALOCKER_FENCE is empty, for Python's
locks have no such number; and portalocker loses the lock if it was stopped for longer
than a second. It is not for clusters. LOCK has no spaces.

--pid writes the PID of portalocker, not of COMMAND, to LOCK; signals reach COMMAND.
--command uses $SHELL, or /bin/sh if that is not set; on Windows %ComSpec%.

SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to COMMAND, and
end the wait before it. A key (Ctrl-C) that the terminal has already turned into a
signal to COMMAND is not passed on once more, nor is anything on Windows, where the
console reaches all its programs itself. If a key has ended COMMAND or the wait,
portalocker dies of the signal, too, so that a shell's loop around it ends.

Exit status: that of COMMAND, and as with flock(1)
  1    the lock was not to be had in time (see --conflict-exit-code)
  64   wrong usage
  65   the file cannot be locked, for instance not on its filesystem; or Python's
       portalocker has locks of that name on the server, which are others: see --pywire
  66   the lock file cannot be opened: no such folder, no permission, a device
  69   COMMAND cannot be executed; or the server cannot be reached, or refuses
  71   the system is out of something: descriptors, memory, processes, locks; or the
       lock could not be released properly
  73   the lock file cannot be created: read-only or full filesystem
  75   the lock on the server was lost before COMMAND had ended
  128+N  signal N ended COMMAND, or the wait`)

var runExample = strings.Trim(`
  portalocker run job.lock -- ./backup.sh --full          one at a time, others wait
  portalocker run -n job.lock -- ./backup.sh              or give up at once
  portalocker run -w 90s -E 75 job.lock -- ./backup.sh    or after 90 seconds, with status 75
  portalocker run -s data.lock -- ./report.sh             many readers, no writer
  portalocker run --slots 4 render -- ./render.sh         four at a time on this machine
  portalocker run job.lock -c 'dump | gzip > dump.gz'     a line for the shell
  portalocker run --pid /run/job.pid -- ./server          and 'kill $(cat /run/job.pid)'
  portalocker run -F job.lock -- ./server                 the server is the only process
  portalocker run --redis redis://db1 nightly -- ./job    one on all machines
  portalocker run --redis redis://db1 --pywire job -- ./job   and with Python's RedisLock`, "\n")
