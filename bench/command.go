package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The commands, as the table shows them. All run true(1) under the lock.
const (
	oursCommand  = "portalocker flock"
	flockCommand = "flock(1)"
	noLockAtAll  = "true alone, no lock"
)

var (
	commandFree   = figure{"a run, nobody holds the lock, median", duration}
	commandWaited = figure{"from a release to the end of a run that waited, median", duration}
)

// commandRow measures a process for each acquisition: `flock FILE true`, from its
// start to its end.
func commandRow() *row {
	return &row{
		name:  "command",
		what:  "a process for each acquisition: flock FILE true",
		base:  oursCommand,
		roles: map[string]role{"command": runCommands, "command-waiter": waitByCommand},
		measure: func(ctx context.Context, r *run) error {
			return r.inTurn([]string{oursCommand, flockCommand, noLockAtAll}, func(who string) error {
				path := r.path()
				argv, err := commandLine(ctx, who, filepath.Dir(r.dir), path)
				if err != nil {
					return err
				}
				free, err := ask[float64](ctx, task{Role: "command", Argv: argv, Time: 400 * time.Millisecond})
				if err != nil {
					return err
				}
				r.record(who, commandFree, free)
				if who == noLockAtAll {
					return nil
				}
				waited, err := waitOfCommand(ctx, argv, path)
				if err == nil {
					r.record(who, commandWaited, median(waited))
				}
				return err
			})
		},
	}
}

// commandLine is what runs true under the lock. The command of this module is built
// in dir, if it is not there.
func commandLine(ctx context.Context, who, dir, path string) ([]string, error) {
	switch who {
	case noLockAtAll:
		return []string{"true"}, nil
	case flockCommand:
		program, err := exec.LookPath("flock")
		if err != nil {
			return nil, &missing{why: "there is no flock here; on Debian it is in the package util-linux"}
		}
		return []string{program, path, "true"}, nil
	}
	program := filepath.Join(dir, "portalocker")
	if _, err := os.Stat(program); err != nil {
		if err := buildCommand(ctx, program); err != nil {
			return nil, err
		}
	}
	return []string{program, "flock", path, "true"}, nil
}

// buildCommand builds this module's command, in this module, whose dependencies are
// not all those of the benchmarks.
func buildCommand(ctx context.Context, program string) error {
	const module = "github.com/portalocker/portalocker"
	folder, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return &missing{why: "go list, in this folder: " + err.Error()}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", program, module+"/cmd/portalocker")
	build.Dir = strings.TrimSpace(string(folder))
	if said, err := build.CombinedOutput(); err != nil {
		return &missing{why: fmt.Sprintf("go build: %v: %s", err, bytes.TrimSpace(said))}
	}
	return nil
}

// waitOfCommand gives the times in ns from a release to the end of a command that
// waited for it.
func waitOfCommand(ctx context.Context, argv []string, path string) (times []float64, err error) {
	waiter, err := start(ctx, task{Role: "command-waiter", Argv: argv})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, waiter.end()) }()
	holder := kernelLock{path: path}
	for range 50 {
		if err := errors.Join(holder.acquire(ctx), waiter.signal(), waiter.awaitSignal()); err != nil {
			return nil, err
		}
		// After 30 ms the command has long begun to wait. The rest is as for the
		// hand-over of libraries.
		if err := pause(ctx, 30*time.Millisecond+rand.N(10*time.Millisecond)); err != nil {
			return nil, err
		}
		var ended int64
		released, err := monotonic()
		if err = errors.Join(err, holder.release(), waiter.hear(&ended)); err != nil {
			return nil, err
		}
		times = append(times, float64(ended-released))
	}
	return times, nil
}

// runCommands runs the command for some time, and answers with the median time in ns.
func runCommands(t task, parent *link) error {
	var times []float64
	for begin := time.Now(); time.Since(begin) < t.Time; {
		started := time.Now()
		if err := runCommand(t.Argv); err != nil {
			return err
		}
		times = append(times, float64(time.Since(started)))
	}
	return parent.say(median(times))
}

// waitByCommand says that it starts the command, and then when that has ended.
func waitByCommand(t task, parent *link) error {
	for parent.awaitSignal() == nil {
		if err := parent.signal(); err != nil {
			return err
		}
		if err := runCommand(t.Argv); err != nil {
			return err
		}
		at, err := monotonic()
		if err = errors.Join(err, parent.say(at)); err != nil {
			return err
		}
	}
	return nil
}

func runCommand(argv []string) error {
	if said, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(said))
	}
	return nil
}

// flockVersion is the version of flock(1); nothing where there is none.
func flockVersion() string {
	said, err := exec.Command("flock", "--version").Output()
	if err != nil {
		return ""
	}
	return strings.Replace(strings.TrimSpace(string(said)), "flock from", "flock(1) of", 1)
}
