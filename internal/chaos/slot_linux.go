package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
)

// slot is a place for a worker, with a link of its own to the server. A worker that is
// killed leaves it to the next.
type slot struct {
	*campaign
	number     int
	namespaced bool             // its workers have a user namespace, and so limits of their own
	proxy      *redistest.Proxy // nil without a server

	process *process
	history string // the file of the worker
	pid     int
	stopped bool
	stdin   io.WriteCloser
	lines   chan string
	end     <-chan error
}

// start starts a worker.
func (s *slot) start() error {
	s.workers++
	s.process = newProcess(s.workers, s.number)
	s.history = filepath.Join(s.folder, fmt.Sprintf("worker-%04d", s.workers))
	config := workerConfig{
		Process: s.workers, Seed: s.seed, Folder: s.disk, History: s.history, Break: s.broken,
		Blind: s.namespaced && s.workers%2 == 0,
	}
	if s.proxy != nil {
		config.Redis = s.proxy.Addr()
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), workerVariable+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	if s.namespaced {
		cmd.SysProcAttr = userNamespace()
	}
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, said, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout = said
	end, err := startTied(cmd)
	_ = said.Close() // the worker has its own
	if err != nil {
		_ = stdout.Close()
		return err
	}
	s.pid, s.stopped, s.lines, s.end = cmd.Process.Pid, false, make(chan string, 16), end
	go func(lines chan<- string) {
		defer stdout.Close() //nolint:errcheck // it was only read
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}(s.lines)
	s.round.processes[s.workers] = s.process
	s.files[s.workers] = s.history
	return s.hear("up")
}

// say sends a line. Whoever has died does not hear it, which is found where its answer
// is missed.
func (s *slot) say(format string, args ...any) { _, _ = fmt.Fprintf(s.stdin, format+"\n", args...) }

var errSilent = errors.New("it does not answer")

// hear waits for a line.
func (s *slot) hear(word string) error {
	timer := time.NewTimer(hang)
	defer timer.Stop()
	select {
	case line, ok := <-s.lines:
		if !ok {
			return errors.New("it has ended")
		}
		if line != word {
			return fmt.Errorf("it said %q instead of %q", line, word)
		}
		return nil
	case <-timer.C:
		return errSilent
	}
}

// kill ends the worker, unless it has ended by itself, and waits until it has.
func (s *slot) kill(sig syscall.Signal) {
	s.process.dead = min(s.process.dead, clock())
	_ = syscall.Kill(s.pid, sig) // it may have ended
	s.bury()
}

// bury waits for the end of a worker.
func (s *slot) bury() {
	<-s.end
	s.process.reaped = clock()
	s.process.dead = min(s.process.dead, s.process.reaped)
	s.runs()
	_ = s.stdin.Close()
}

// stop stops the worker.
func (s *slot) stop() error {
	if err := stopAndWait(s.pid); err != nil {
		return err
	}
	s.stopped = true
	s.process.stops = append(s.process.stops, span{clock(), never})
	return nil
}

// runs takes note that the worker is about to run on, or that it has ended.
func (s *slot) runs() {
	if s.stopped {
		s.process.stops[len(s.process.stops)-1].to = clock()
		s.stopped = false
	}
}

func (s *slot) resume() {
	if s.stopped {
		s.runs()
		_ = syscall.Kill(s.pid, syscall.SIGCONT) // it is a child that was not waited for, so it is there
	}
}
