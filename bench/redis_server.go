package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server of one run, which keeps nothing on disk.
type redisServer struct {
	addr string
	cmd  *exec.Cmd
	ask  *redis.Client
}

// startRedis starts a server on a free port, and waits until it takes connections.
// It is killed when ctx ends, or with end.
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, &missing{why: "there is no redis-server here; on Debian it is in the package redis-server"}
	}
	probe, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := probe.Addr().String()
	_ = probe.Close() // the server takes its place
	_, port, _ := net.SplitHostPort(addr)
	s := &redisServer{addr: addr}
	s.cmd = exec.CommandContext(ctx, path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(said); ; {
		if !lines.Scan() {
			return nil, fmt.Errorf("redis-server ended at its start: %w", s.cmd.Wait())
		}
		if strings.Contains(lines.Text(), "eady to accept connections") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, said) }() // lest a full pipe stop it; ends with the server
	s.ask = redis.NewClient(&redis.Options{Addr: addr})
	return s, nil
}

func (s *redisServer) end() error {
	err := s.ask.Close()
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // it was killed
	return err
}

// redisUse is what a server has done so far.
type redisUse struct {
	cpu      time.Duration
	requests float64 // reads of requests from sockets; a pipeline is one
}

// used asks by the INFO command, which costs the server some microseconds.
func (s *redisServer) used(ctx context.Context) (use redisUse, err error) {
	text, err := s.ask.Info(ctx, "cpu", "stats").Result()
	if err != nil {
		return use, err
	}
	told := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			told[name] = v
		}
	}
	for _, name := range []string{"used_cpu_user", "used_cpu_sys", "total_reads_processed"} {
		if _, ok := told[name]; !ok {
			return use, fmt.Errorf("INFO does not tell %s", name)
		}
	}
	use.cpu = time.Duration((told["used_cpu_user"] + told["used_cpu_sys"]) * float64(time.Second))
	use.requests = told["total_reads_processed"]
	return use, nil
}

func (s *redisServer) cpu(ctx context.Context) (time.Duration, error) {
	use, err := s.used(ctx)
	return use.cpu, err
}

// redisVersion is the version of the redis-server that is measured with.
func redisVersion() string {
	said, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return ""
	}
	for _, field := range strings.Fields(string(said)) {
		if v, ok := strings.CutPrefix(field, "v="); ok {
			return "redis-server " + v
		}
	}
	return "redis-server"
}
