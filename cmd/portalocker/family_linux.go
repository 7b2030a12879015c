package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithParent has the command killed when this program is, which then cannot do
// it. The parent is the thread that started it, not the process, so that thread must
// live as long as the command does (prctl(2), PR_SET_PDEATHSIG).
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

const canTerminate = true

// family is a command with all that it has started, and that has not left it before
// this was made: a process whose parent ends becomes a child of this program from
// now on (prctl(2), PR_SET_CHILD_SUBREAPER).
type family struct {
	command *os.Process
	foreign []int // children of this program that were there before: exec(1) of a shell keeps them
}

func familyOf(p *os.Process) *family {
	f := &family{command: p}
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // without it those who are orphaned from now on escape
	for _, pid := range childrenOf(parents(), os.Getpid()) {
		if pid != p.Pid {
			f.foreign = append(f.foreign, pid)
		}
	}
	return f
}

// terminate sends SIGTERM to all, and SIGCONT, as one that is stopped would not get
// it.
func (f *family) terminate() error {
	return f.signal(f.members(), unix.SIGTERM, unix.SIGCONT)
}

// kill sends SIGKILL to all, until there is nobody new.
func (f *family) kill() error {
	var errs error
	done := map[int]bool{}
	for {
		fresh := slices.DeleteFunc(f.members(), func(pid int) bool { return done[pid] })
		if len(fresh) == 0 {
			return errs
		}
		errs = errors.Join(errs, f.signal(fresh, unix.SIGKILL))
		for _, pid := range fresh {
			done[pid] = true
		}
	}
}

// rest is closed when all have ended. It is called after the command has, whose end
// is somebody else's to wait for.
func (f *family) rest() <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for len(f.members()) > 0 {
			if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
				return // there are no children
			}
		}
	}()
	return gone
}

// members are all, each after its parent: so a shell hears of its end before that of
// the program that it waits for, after which it would start the next.
func (f *family) members() []int {
	all := parents()
	queue := slices.DeleteFunc(childrenOf(all, os.Getpid()), func(pid int) bool { return slices.Contains(f.foreign, pid) })
	for i := 0; i < len(queue); i++ {
		queue = append(queue, childrenOf(all, queue[i])...)
	}
	return queue
}

func (f *family) signal(pids []int, sigs ...syscall.Signal) error {
	var errs error
	for _, pid := range pids {
		p, err := os.FindProcess(pid) // a handle: from here on the number is not another's
		if err != nil {
			continue
		}
		if _, still := parents(pid)[pid]; still {
			for _, sig := range sigs {
				if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
					errs = errors.Join(errs, fmt.Errorf("cannot send a signal to process %d: %v: %w", pid, sig, err))
				}
			}
		}
		_ = p.Release()
	}
	return errs
}

// parents maps processes to their parents: those given, or all.
func parents(pids ...int) map[int]int {
	if len(pids) == 0 {
		entries, _ := os.ReadDir("/proc") // without it, there is nobody
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	all := make(map[int]int, len(pids))
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		// "PID (COMMAND) STATE PPID ...", and COMMAND may be anything (proc_pid_stat(5)).
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			all[pid] = parent
		}
	}
	return all
}

func childrenOf(parents map[int]int, of int) (pids []int) {
	for pid, parent := range parents {
		if parent == of {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
