package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Ports for servers are taken from below the ranges that systems take ports
// from by themselves (from 32768 on Linux, from 49152 elsewhere). So nothing
// that connects or listens on any port can take a server's while it restarts.
// The bus of a cluster is 10000 above (redis.conf, cluster-port), and in no
// other server's way.
const (
	lowestPort = 12000
	portCount  = 10000
	busOffset  = 10000
)

var errPortTaken = errors.New("another program listens on the port")

// run is one process of a server.
type run struct {
	cmd    *exec.Cmd
	output output
	ended  chan struct{} // closed when cmd.Wait has returned
	err    error         // its result
}

// output is what a process has said.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{} // closed when it has said that it is ready
	said  bool          // ready is closed
}

// launch starts the server's process and waits until it says that it is ready.
func (s *Server) launch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := slices.Concat(s.first, []string{"--bind", "127.0.0.1", "--dir", s.dir}, s.listen(s.port), s.args)
	r, err := startRun(exec.Command(s.path, args...))
	if err != nil {
		return err
	}
	s.runs = append(s.runs, r)
	select {
	case <-r.output.ready:
		return nil
	case <-r.ended:
		said := r.output.tail()
		if strings.Contains(said, "Address already in use") || strings.Contains(said, "Failed listening on port") {
			s.runs = s.runs[:len(s.runs)-1]
			return fmt.Errorf("%w: %d", errPortTaken, s.port)
		}
		if s.lacking != nil {
			s.lacking(said)
		}
		return fmt.Errorf("it ended at once (%v): %s", r.err, said)
	case <-time.After(patience):
		return errors.New("it does not say that it is ready")
	}
}

// present is the process that runs now, or ran last.
func (s *Server) present() *run {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.runs) == 0 {
		s.t.Fatal("the redis-server was never started")
	}
	return s.runs[len(s.runs)-1]
}

// startRun starts a process that ends with this one.
func startRun(cmd *exec.Cmd) (*run, error) {
	r := &run{cmd: cmd, ended: make(chan struct{}), output: output{ready: make(chan struct{})}}
	cmd.Stdout, cmd.Stderr = &r.output, &r.output
	// A child that outlives the server, such as one that writes a snapshot, has
	// the same output open.
	cmd.WaitDelay = 5 * time.Second
	endWithParent(cmd)
	started := make(chan error)
	go func() {
		// For prctl(2), PR_SET_PDEATHSIG, the parent is the thread that started
		// the process, not its process. So that thread must live until the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			r.err = cmd.Wait()
			close(r.ended)
		}
	}()
	return r, <-started
}

// kill kills the process, if it still runs, and waits for its end.
func (r *run) kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.ended
}

// Write takes what the process says.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	text := o.text.Bytes()
	// "The server is now ready", or only "Ready"; the other is what a sentinel says.
	if !o.said && (bytes.Contains(text, []byte("eady to accept connections")) || bytes.Contains(text, []byte("Sentinel ID is"))) {
		o.said = true
		close(o.ready)
	}
	return n, err
}

// tail is the last of what the process has said.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	const enough = 16 << 10
	text := o.text.Bytes()
	return string(text[max(0, len(text)-enough):])
}

// FreePort is a port on which, and on whose bus port, nothing listens now. The
// choice is random, since other test binaries choose at the same time.
func FreePort() (int, error) {
	for range 1000 {
		port := lowestPort + rand.IntN(portCount)
		if isFree(port) && isFree(port+busOffset) {
			return port, nil
		}
	}
	return 0, errors.New("no free port on the loopback address")
}

func isFree(port int) bool {
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
