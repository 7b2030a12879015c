package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker"
)

// writeOptions is the command line of "portalocker write".
type writeOptions struct {
	replace bool
	perm    permFlag
	path    string
}

func newWrite(std streams) *cobra.Command {
	o := &writeOptions{perm: 0o666}
	cmd := &cobra.Command{
		Use:                   "write [--replace] [--perm MODE] PATH",
		Short:                 "Write standard input to a file, all of it or nothing",
		Long:                  writeLong,
		Example:               writeExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return usageError("give one PATH")
			case args[0] == "":
				return usageError("PATH is an empty string: a variable that is not set?")
			}
			o.path = args[0]
			return o.run(cmd.Context(), std)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.replace, "replace", false, "replace PATH if it exists, and keep its permissions")
	f.Var(&o.perm, "perm", "permissions of a new file, in octal, less the umask")
	noFiles := cobra.FixedCompletions(nil, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("perm", noFiles); err != nil {
		panic(err) // a flag that is not defined above
	}
	return cmd
}

// permFlag is a file's permissions, as chmod(1) takes them in octal.
type permFlag fs.FileMode

func (f *permFlag) String() string { return fmt.Sprintf("%04o", fs.FileMode(*f)) }

func (f *permFlag) Type() string { return "MODE" }

func (f *permFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return errors.New("use an octal number from 0 to 777")
	}
	*f = permFlag(n)
	return nil
}

// run copies standard input and publishes it. A signal until then gives it up.
func (o *writeOptions) run(ctx context.Context, std streams) (err error) {
	// Taken for an empty input, it would replace the file by nothing.
	if std.in == os.Stdin && standIn(0) {
		return &exit{status: statusNoInput, err: errors.New("cannot read standard input: it is closed, or /dev/null for reading and writing; for an empty file redirect it from /dev/null")}
	}
	sigs := catchSignals()
	defer sigs.stop()
	opts := []portalocker.AtomicOption{portalocker.WithAtomicPerm(fs.FileMode(o.perm))}
	if o.replace {
		opts = append(opts, portalocker.WithReplace())
	}
	f, err := portalocker.OpenAtomic(o.path, opts...)
	if err != nil {
		return writeFailed(err)
	}
	defer func() {
		if closeErr := f.Close(); closeErr != nil {
			complain(std, closeErr)
		}
	}()
	sig, err := sigs.cancelling(ctx, func(ctx context.Context) error { return copyUnlessStopped(ctx, f, std.in) })
	if sig != nil {
		err = stopped{sig} // also when the input ended just then
	}
	if err == nil {
		err = f.Commit()
	}
	if err != nil {
		return writeFailed(err)
	}
	return nil
}

// copyUnlessStopped returns as soon as the context ends. The goroutine that then
// still waits for input ends with the process.
func copyUnlessStopped(ctx context.Context, f *portalocker.AtomicFile, in io.Reader) error {
	source := &input{in: in}
	copied := make(chan error, 1)
	go func() {
		_, err := f.ReadFrom(source)
		if source.err != nil {
			err = &exit{status: statusNoInput, err: source.err}
		}
		copied <- err
	}()
	select {
	case err := <-copied:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// input tells an error of reading from one of writing.
type input struct {
	in  io.Reader
	err error
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.in.Read(p)
	if err != nil && err != io.EOF {
		i.err = fmt.Errorf("cannot read standard input: %w", err)
	}
	return n, err
}

// writeFailed is the end of this program when nothing was published, or not for
// sure.
func writeFailed(err error) error {
	var known *exit
	var sig stopped
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &sig):
		return &exit{status: signalStatus(sig.signal), err: err}
	case errors.Is(err, portalocker.ErrNotDurable), errors.Is(err, syscall.EIO), isAnyOf(err, exhausted):
		return &exit{status: statusOS, err: advised(err)}
	case errors.Is(err, fs.ErrExist):
		err = fmt.Errorf("%w (--replace replaces it)", err)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w (the folder must exist)", err)
	}
	return &exit{status: statusCannotMake, err: err}
}

var writeLong = strings.TrimSpace(`
Write standard input to the file PATH, in one step at its end: other programs see
the whole file or none, also if this one is killed or the machine crashes.

The file is written beside PATH, synced to the disk, and then given its name. If
PATH exists, that fails, whoever comes first; with --replace it is replaced, and the
new file has its permissions. A symlink is replaced itself, not what it points to;
what is no regular file is not replaced.

An error of the command before it in a pipe cannot be seen from here: what came
until then is the input.

Exit status:
  0    the file is there, and on the disk
  64   wrong usage
  66   standard input cannot be read
  71   the system is out of something, or the disk failed; if the message says
       "published", the file is there, but a power failure may undo that
  73   the file cannot be created: it exists, no such folder, no permission, disk full
  128+N  signal N came before the end of the input
Except for status 0 and "published", PATH is as it was.`)

var writeExample = strings.Trim(`
  make-report | portalocker write report.csv          fails if report.csv exists
  sort names | portalocker write --replace names      the old file is there until the end
  make-token | portalocker write --perm 600 token     for its owner only`, "\n")
