package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/proclocks"
)

func newLs(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "ls [PATH...] [--json]",
		Short:                 "List who holds file locks and who waits for them",
		Long:                  lsLong,
		Example:               lsExample,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, paths []string) error {
			return list(paths, asJSON, std)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON array, for programs")
	return cmd
}

// list looks at each path, and tells of those where that works. Its error is that of
// the last one where it does not.
func list(paths []string, asJSON bool, std streams) error {
	for _, path := range paths {
		if path == "" {
			return usageError("PATH is an empty string: a variable that is not set?")
		}
	}
	var locks []proclocks.Lock
	var failed *exit
	if len(paths) == 0 {
		all, err := proclocks.All()
		if err != nil {
			return &exit{status: statusNotTold, err: err}
		}
		locks = all
	}
	for _, path := range paths {
		found, err := proclocks.Of(path)
		if errors.Is(err, portalocker.ErrUnsupported) {
			return &exit{status: statusNotTold, err: err}
		}
		if err != nil {
			complain(std, err)
			failed = &exit{status: statusNoInput}
		}
		locks = append(locks, found...)
	}
	content, err := asTable(locks, time.Now()), error(nil)
	if asJSON {
		content, err = asArray(locks)
	}
	if err == nil {
		_, err = std.out.Write(content)
	}
	if err != nil {
		return &exit{status: statusOS, err: err}
	}
	if failed != nil {
		return failed
	}
	return nil
}

// statusNotTold is sysexits(3)'s EX_UNAVAILABLE, as flock(1) has it for a command
// that cannot be executed.
const statusNotTold = statusNoCommand

// asTable makes a line for each lock. "-" is what is not known.
func asTable(locks []proclocks.Lock, now time.Time) []byte {
	var out bytes.Buffer
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) } // a Buffer takes all
	row("PID", "COMMAND", "STATE", "SINCE", "MODE", "TYPE", "BYTES", "PATH")
	for _, l := range locks {
		pid, state, since := "-", "holds", "-"
		if l.PID != 0 {
			pid = strconv.Itoa(l.PID)
		}
		if l.Waiting {
			state = "waits"
		}
		if !l.Since.IsZero() {
			since = ago(now.Sub(l.Since))
		}
		row(pid, shown(l.Command), state, since, shown(modeName(l.Mode)), l.Mechanism.String(), bytesOf(&l), shown(nameOf(&l)))
	}
	_ = table.Flush() // into the Buffer
	return out.Bytes()
}

// lockJSON is an element of the array. What is not known is null.
type lockJSON struct {
	Path      *string    `json:"path"`
	Device    string     `json:"device"`
	Inode     uint64     `json:"inode"`
	PID       *int       `json:"pid"`
	Command   *string    `json:"command"`
	Mechanism string     `json:"mechanism"`
	Mode      *string    `json:"mode"`
	Start     int64      `json:"start"`
	Length    *int64     `json:"length"`
	Waiting   bool       `json:"waiting"`
	Since     *time.Time `json:"since"`
}

func asArray(locks []proclocks.Lock) ([]byte, error) {
	elements := make([]lockJSON, len(locks))
	for i, l := range locks {
		elements[i] = lockJSON{
			Path: known(l.Path), Device: l.File.Device(), Inode: l.File.Inode,
			PID: known(l.PID), Command: known(l.Command),
			Mechanism: l.Mechanism.String(), Mode: known(modeName(l.Mode)),
			Start: l.Start, Length: known(l.Length),
			Waiting: l.Waiting, Since: known(l.Since),
		}
	}
	content, err := json.MarshalIndent(elements, "", "  ")
	return append(escaped(content), '\n'), err
}

// known is nil for the zero value, which is what is not known, or has no end.
func known[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func modeName(mode oslock.Mode) string {
	switch mode {
	case oslock.Exclusive:
		return "exclusive"
	case oslock.Shared:
		return "shared"
	}
	return ""
}

func bytesOf(l *proclocks.Lock) string {
	switch {
	case l.Length != 0:
		return fmt.Sprintf("%d-%d", l.Start, l.Start+l.Length-1)
	case l.Start != 0:
		return fmt.Sprintf("%d-", l.Start)
	}
	return "all"
}

func nameOf(l *proclocks.Lock) string {
	if l.Path == "" {
		return l.File.String()
	}
	return l.Path
}

// ago leaves out what nobody wants to know of a duration.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// shown quotes names that would break the table or speak to the terminal.
func shown(name string) string {
	switch {
	case name == "":
		return "-"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return strconv.Quote(name)
	}
	return name
}

var lsLong = strings.TrimSpace(`
List the locks on files: who holds them, and who waits for them. Without PATH, all
those of this machine; else those of the given files. A directory is listed for a
lock on itself, not for the files in it. A symlink is followed. Only on Linux.

  PID      the process; if it has ended and others inherited its lock, the oldest
           of those
  STATE    holds or waits
  SINCE    how long it has waited
  MODE     exclusive or shared
  TYPE     flock; or ofd or posix, as fcntl and lockf locks are
  BYTES    what part of the file is locked
  PATH     as given, or else as the process names it; device:inode if no process
           that may be looked at has the file open

"-" stands for what the system does not tell. Of processes that wait with portalocker
SINCE is known, MODE is not; for others it is the reverse. Other users' processes are
listed too, but not who has their ofd locks: that takes root. Programs that try again
and again do not wait as far as the system knows.

--json writes an array of objects with the fields path, device, inode, pid, command,
mechanism, mode, start, length, waiting and since. What is not known is null; a null
length is up to the end of the file. since is an RFC 3339 time.

Exit status:
  0    also if there are no locks
  64   wrong usage
  66   a PATH cannot be looked at; the others are listed
  69   the system does not tell
  71   the list cannot be written`)

var lsExample = strings.Trim(`
  portalocker ls                                        all locks of this machine
  portalocker ls job.lock                               who has it, who waits
  portalocker ls --json | jq '.[] | select(.waiting)'   those that wait`, "\n")
