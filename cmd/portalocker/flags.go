package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/portalocker/portalocker"
)

// timeoutFlag is how long to wait: seconds as flock(1) takes them, or a duration as
// Go writes it.
type timeoutFlag time.Duration

func (f *timeoutFlag) String() string {
	if d := time.Duration(*f); d != portalocker.Forever {
		return d.String()
	}
	return ""
}

func (f *timeoutFlag) Type() string { return "SECONDS|DURATION" }

func (f *timeoutFlag) Set(s string) error {
	d, err := parseDuration(s)
	switch {
	case err != nil:
		return errors.New("use seconds (0.5) or a duration (1m30s), at most 292 years; without --timeout there is no limit")
	case d < 0 || strings.HasPrefix(s, "-"):
		return errors.New("a timeout cannot be negative; 0 tries once")
	}
	*f = timeoutFlag(d)
	return nil
}

// durationFlag is a time that has an end. Its type is short, for it would widen the
// list of options.
type durationFlag time.Duration

func (f *durationFlag) String() string { return time.Duration(*f).String() }

func (f *durationFlag) Type() string { return "TIME" }

func (f *durationFlag) Set(s string) error {
	d, err := parseDuration(s)
	switch {
	case err != nil:
		return errors.New("use seconds (0.5) or a duration (1m30s), at most 292 years")
	case d < 0 || strings.HasPrefix(s, "-"):
		return errors.New("it cannot be negative")
	}
	*f = durationFlag(d)
	return nil
}

// parseDuration reads a number of seconds, or a duration as Go writes it.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && strings.Trim(s, "+-.0123456789") == "" {
		d, err = time.ParseDuration(s + "s") // exact, in difference to a float
	}
	return d, err
}

// statusFlag is an exit status.
type statusFlag int

func (f *statusFlag) String() string { return strconv.Itoa(int(*f)) }

func (f *statusFlag) Type() string { return "N" }

func (f *statusFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return errors.New("an exit status is a number from 0 to 255")
	}
	*f = statusFlag(n)
	return nil
}

// slotsFlag is how many slots a semaphore has; 0 for none.
type slotsFlag int

func (f *slotsFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.Itoa(int(*f))
}

func (f *slotsFlag) Type() string { return "N" }

func (f *slotsFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16) // each slot is a file, and to be looked at in a search
	if err != nil || n == 0 {
		return errors.New("use a number from 1 to 65535")
	}
	*f = slotsFlag(n)
	return nil
}

// shellFlag is a line for the shell.
type shellFlag string

func (f *shellFlag) String() string { return string(*f) }

func (f *shellFlag) Type() string { return "STRING" }

func (f *shellFlag) Set(s string) error {
	if s == "" {
		return errors.New("it is an empty string: a variable that is not set?")
	}
	*f = shellFlag(s)
	return nil
}

// mechanismFlag is a mechanism by its name.
type mechanismFlag portalocker.Mechanism

// mechanisms are those to choose from, and what the shell's completion says of them.
var mechanisms = []struct {
	portalocker.Mechanism
	about string
}{
	{portalocker.Flock, "flock(2), as flock(1) does; the default where there is one"},
	{portalocker.OFD, "open file description locks of Linux: meet fcntl and lockf locks"},
	{portalocker.POSIX, "fcntl and lockf locks; COMMAND cannot inherit them"},
}

func (f *mechanismFlag) String() string {
	if m := portalocker.Mechanism(*f); m != portalocker.DefaultMechanism {
		return m.String()
	}
	return ""
}

func (f *mechanismFlag) Type() string { return "flock|ofd|posix" }

func (f *mechanismFlag) Set(s string) error {
	for _, m := range mechanisms {
		if m.String() == s {
			*f = mechanismFlag(m.Mechanism)
			return nil
		}
	}
	return errors.New("use one of flock, ofd, posix")
}

func completeMechanisms(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, m := range mechanisms {
		names = append(names, cobra.CompletionWithDesc(m.String(), m.about))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
