package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/redistest"
)

// server is a redis-server that keeps no data on disk, and whose wall clock can be
// stepped.
type server struct {
	program string
	folder  string
	port    int
	preload string // what makes its clock; "" if it has the machine's
	offset  []byte // of its clock, in a file that it maps
	rdb     *redis.Client

	pid     int
	end     <-chan error
	said    bytes.Buffer
	stopped bool
}

//go:embed clock/step.c
var clockSource []byte

// newServer starts a server. It is nil, and the other two say what is missing and why,
// where there is no redis-server.
func newServer(folder string) (s *server, missing string, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, "the Redis locks: there is no redis-server", nil
	}
	s = &server{program: program, folder: folder}
	if s.port, err = redistest.FreePort(); err != nil {
		return nil, "", err
	}
	s.rdb = s.client()
	if err := s.makeClock(); err != nil {
		missing = "steps of the server's clock: " + err.Error()
		s.preload = ""
	}
	return s, missing, s.start()
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// client is one of the coordinator's.
func (s *server) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr(), ClientName: coordinator, PoolSize: 1, MaxRetries: -1, ReadTimeout: hang})
}

// coordinator is what the server calls the connections of the coordinator.
const coordinator = "coordinator"

// makeClock compiles the clock, and makes the file by which it is set.
func (s *server) makeClock() error {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		return errors.New("there is no gcc")
	}
	source := filepath.Join(s.folder, "step.c")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return err
	}
	s.preload = filepath.Join(s.folder, "step.so")
	if out, err := exec.Command(compiler, "-O2", "-shared", "-fPIC", "-o", s.preload, source).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	file, err := os.OpenFile(filepath.Join(s.folder, "offset"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is mapped
	if err := file.Truncate(8); err != nil {
		return err
	}
	s.offset, err = unix.Mmap(int(file.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

// step moves the wall clock. Eight bytes that are aligned are written in one step.
func (s *server) step(by time.Duration) {
	now := int64(binary.NativeEndian.Uint64(s.offset))
	binary.NativeEndian.PutUint64(s.offset, uint64(now+int64(by)))
}

// start starts the server, empty, and waits until it answers.
func (s *server) start() error {
	cmd := exec.Command(s.program, "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.folder)
	s.said.Reset()
	cmd.Stdout, cmd.Stderr = &s.said, &s.said
	if s.preload != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+s.preload, "PORTALOCKER_CHAOS_CLOCK="+filepath.Join(s.folder, "offset"))
	}
	end, err := startTied(cmd)
	if err != nil {
		return err
	}
	s.pid, s.end, s.stopped = cmd.Process.Pid, end, false
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-s.end:
			return fmt.Errorf("redis-server ended at once: %v: %s", err, s.said.String())
		default:
		}
		err := s.ping()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

// signal ends the server, and waits until it has ended.
func (s *server) signal(sig syscall.Signal) {
	_ = syscall.Kill(s.pid, sig) // it is a child that was not waited for
	<-s.end
}

func (s *server) stop() error {
	if err := stopAndWait(s.pid); err != nil {
		return err
	}
	s.stopped = true
	return nil
}

func (s *server) resume() {
	if s.stopped {
		_ = syscall.Kill(s.pid, syscall.SIGCONT)
		s.stopped = false
	}
}

func (s *server) ping() error { return s.rdb.Ping(context.Background()).Err() }

// settle returns when the server has seen what has happened to its connections: it looks
// at them before it answers a second time.
func (s *server) settle() error { return errors.Join(s.ping(), s.ping()) }

// ahead says whether a fence is before the server's clock. To lose the data then would
// break what nobody promises: that fences grow though the clock was set back and the
// data are lost.
func (s *server) ahead() (bool, error) {
	var keys []string
	for _, k := range kinds {
		if k.liveness != "" {
			keys = append(keys, "portalocker:{"+k.name+"}:fence")
		}
	}
	n, err := s.rdb.Eval(context.Background(), `
local t, last = redis.call('TIME'), 0
for _, key in ipairs(KEYS) do last = math.max(last, tonumber(redis.call('GET', key) or 0)) end
return last >= tonumber(t[1]) * 1000000 + tonumber(t[2]) and 1 or 0`, keys).Int()
	return n == 1, err
}

func (s *server) close() {
	s.resume()
	s.signal(syscall.SIGKILL)
	_ = s.rdb.Close()
}
