package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// toProcess does something to a worker.
func (in *injector) toProcess(kind string, s *slot) {
	f := &fault{kind: kind, process: s.process.number, slot: s.number}
	switch kind {
	case killed:
		in.once(f, func() error { s.kill(syscall.SIGKILL); return nil })
		in.replace(s)
	case killedAsking:
		if s.stopped {
			return
		}
		in.once(f, func() error {
			s.say("die")
			select {
			case <-s.lines: // which end with it
			case <-time.After(patience):
				s.kill(syscall.SIGKILL)
				return nil
			}
			s.bury()
			return nil
		})
		in.replace(s)
	case stoppedShort, stoppedLong:
		if s.stopped {
			return
		}
		length := in.between(time.Millisecond, ttl*2/3)
		if kind == stoppedLong {
			length = in.between(ttl+100*time.Millisecond, 3*ttl)
		}
		f.server = true
		in.begin(f, s.stop)
		in.lasts(f, length, s.resumeOnly(s.process))
	case fewFiles:
		in.fewFiles(f, s)
	case fewWatches:
		if !s.namespaced {
			s = in.slots[in.dice.IntN(namespacedSlots)]
			f.process, f.slot = s.process.number, s.number
		}
		in.begin(f, func() error { s.say("watches 0"); return nil })
		p := s.process
		in.lasts(f, in.between(500*time.Millisecond, 3*time.Second), func() {
			if s.process == p {
				s.say("watches %d", manyWatches)
			}
		})
	}
}

// manyWatches is enough for every worker.
const manyWatches = 8192

// resumeOnly lets a worker run on, if it is still the same.
func (s *slot) resumeOnly(p *process) func() {
	return func() {
		if s.process == p {
			s.resume()
		}
	}
}

// replace starts another worker in the place of one that has died.
func (in *injector) replace(s *slot) {
	if err := s.start(); err != nil {
		in.fail(fmt.Errorf("worker %d: %w", s.workers, err))
		return
	}
	s.say("run")
	if err := s.hear("done"); err != nil {
		in.fail(fmt.Errorf("worker %d: %w", s.workers, err))
	}
}

// fewFiles leaves a worker next to no descriptors (prlimit(2)).
func (in *injector) fewFiles(f *fault, s *slot) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		in.fail(err)
		return
	}
	f.server = true
	var before unix.Rlimit
	few := uint64(len(entries) + in.dice.IntN(3))
	in.begin(f, func() error {
		if err := unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
			return err
		}
		return unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(few, before.Max), Max: before.Max}, nil)
	})
	p := s.process
	in.lasts(f, in.between(100*time.Millisecond, time.Second), func() {
		if s.process == p {
			// Not back to what it was: that may have been another fault's.
			in.fail(unix.Prlimit(s.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: before.Max, Max: before.Max}, nil))
		}
	})
}
