package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() {
	roles["locks"] = locksRole
	roles["holders"] = holdersRole
	roles["greedy"] = greedyRole
}

// locksRole is a process that takes one lock of the system for each argument, says
// "ok", and has them until its input ends. An argument reads like
//
//	[wait] flock|ofd|posix exclusive|shared START LENGTH PATH
//
// Those with "wait" come last, and wait in the kernel. The argument "nobody" makes it
// that user first, if it is root.
func locksRole(p *testproc.Peer, args []string) error {
	if len(args) > 0 && args[0] == "nobody" {
		args = args[1:]
		if err := becomeNobody(); err != nil {
			return err
		}
	}
	var waits []string
	for _, arg := range args {
		if spec, wait := strings.CutPrefix(arg, "wait "); wait {
			waits = append(waits, spec)
		} else if err := systemLock(arg, false); err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
	}
	p.Say("ok")
	for _, spec := range waits {
		go func() { _ = systemLock(spec, true) }() // until the process ends
	}
	p.Hear()
	return nil
}

// systemLock takes a lock, and keeps the file open until the process ends.
func systemLock(spec string, wait bool) error {
	var kind, mode, path string
	var r unix.Flock_t
	if _, err := fmt.Sscan(spec, &kind, &mode, &r.Start, &r.Len, &path); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EISDIR) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	if kind == "flock" {
		how := map[string]int{"exclusive": unix.LOCK_EX, "shared": unix.LOCK_SH}[mode]
		if !wait {
			how |= unix.LOCK_NB
		}
		return unix.Flock(fd, how)
	}
	r.Type = map[string]int16{"exclusive": unix.F_WRLCK, "shared": unix.F_RDLCK}[mode]
	command := map[string]int{"ofd": unix.F_OFD_SETLK, "posix": unix.F_SETLK}[kind]
	if wait {
		command++ // F_SETLKW and F_OFD_SETLKW
	}
	return unix.FcntlFlock(uintptr(fd), command, &r)
}

// becomeNobody gives up root. The kernel then hides this process from others of the
// same user (PR_SET_DUMPABLE of prctl(2)), which is undone.
func becomeNobody() error {
	if os.Getuid() != 0 {
		return nil
	}
	if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}

// holdersRole is a process that says what Holders tells of a path: a line each, and
// "end". It is nobody, if it is told to.
func holdersRole(p *testproc.Peer, args []string) error {
	if slices.Contains(args[1:], "nobody") {
		if err := becomeNobody(); err != nil {
			return err
		}
	}
	rows, err := holdersOf(args[0])
	if err != nil {
		return err
	}
	for _, row := range rows {
		p.Say("%s", row)
	}
	p.Say("end")
	return nil
}

// greedyRole is a process that takes and releases a lock, again and again.
func greedyRole(p *testproc.Peer, args []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		p.Hear()
		cancel()
	}()
	l := portalocker.New(args[0], portalocker.WithTimeout(portalocker.Forever))
	for ctx.Err() == nil {
		hold := func(context.Context) error {
			time.Sleep(100 * time.Microsecond)
			return nil
		}
		if err := l.Do(ctx, hold); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// holdersOf gives what Holders tells, like "holds 4242 flock exclusive" or "waits 0
// ofd shared 100 10".
func holdersOf(path string) (rows []string, err error) {
	holders, err := portalocker.Holders(path)
	for _, h := range holders {
		state := "holds"
		if h.Waiting {
			state = "waits"
		}
		mode := map[portalocker.LockFlags]string{portalocker.Exclusive: "exclusive", portalocker.Shared: "shared", 0: "unknown"}[h.Mode]
		row := fmt.Sprintf("%s %d %v %s", state, h.PID, h.Mechanism, mode)
		if h.Start != 0 || h.Length != 0 {
			row += fmt.Sprintf(" %d %d", h.Start, h.Length)
		}
		rows = append(rows, row)
	}
	return rows, err
}
