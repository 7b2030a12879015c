package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// ErrorServer speaks as much of the Redis protocol as a client needs to
// connect, and answers everything else with one error. It stands for a server
// in a state that a real one is hard to bring into.
type ErrorServer struct {
	t        testing.TB
	listener net.Listener
	reply    string
	accepted []string
	context  context.Context // ends with the server
	running  sync.WaitGroup
}

// NewErrorServer listens on a free port until the end of the test. The reply is
// a line such as "-LOADING Redis is loading the dataset in memory". What is
// answered as a healthy server does are the commands in accepted; without any
// these are HELLO, AUTH, CLIENT (SETINFO and SETNAME) and PING.
func NewErrorServer(t testing.TB, reply string, accepted ...string) *ErrorServer {
	t.Helper()
	if !strings.HasPrefix(reply, "-") || strings.ContainsAny(reply, "\r\n") {
		t.Fatalf("an error reply is one line that begins with -, not %q", reply)
	}
	if len(accepted) == 0 {
		accepted = []string{"HELLO", "AUTH", "CLIENT", "PING"}
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &ErrorServer{t: t, listener: l, reply: reply, accepted: accepted}
	ctx, cancel := context.WithCancel(context.Background())
	e.context = ctx
	e.running.Go(e.accept)
	t.Cleanup(func() {
		cancel()
		_ = l.Close() // accept sees it
		e.running.Wait()
	})
	return e
}

// Addr is the server's host:port.
func (e *ErrorServer) Addr() string { return e.listener.Addr().String() }

// URL is the server's address in the form that redis.ParseURL reads.
func (e *ErrorServer) URL() string { return "redis://" + e.Addr() }

// Client is a new client, which is closed at the end of the test.
func (e *ErrorServer) Client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: e.Addr()})
	e.t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

func (e *ErrorServer) accept() {
	for {
		c, err := e.listener.Accept()
		if e.context.Err() != nil {
			if err == nil {
				_ = c.Close() // nobody wants it
			}
			return
		}
		if err == nil {
			e.running.Go(func() { e.serve(c) })
		}
	}
}

// serve answers commands until the client leaves or the test ends.
func (e *ErrorServer) serve(c net.Conn) {
	stop := context.AfterFunc(e.context, func() { _ = c.Close() })
	defer func() {
		if stop() {
			_ = c.Close() // the client has left
		}
	}()
	for r := bufio.NewReader(c); ; {
		command, err := readCommand(r)
		if err != nil {
			if errors.Is(err, errProtocol) {
				e.t.Errorf("%s said to the error server: %v", c.RemoteAddr(), err)
			}
			return
		}
		if _, err := io.WriteString(c, e.answer(command)+"\r\n"); err != nil {
			return
		}
	}
}

// answer is what the server says to a command, without the end of the line.
func (e *ErrorServer) answer(command []string) string {
	name := strings.ToUpper(command[0])
	known := slices.ContainsFunc(e.accepted, func(a string) bool { return strings.EqualFold(a, name) })
	switch {
	case !known:
		return e.reply
	case name == "PING":
		return "+PONG"
	case name == "HELLO":
		fields := []string{"$6", "server", "$5", "redis", "$7", "version", "$5", "7.0.0", "$5", "proto", ":2"}
		head := "*6"
		if len(command) > 1 && command[1] == "3" {
			fields[len(fields)-1], head = ":3", "%3"
		}
		return strings.Join(append([]string{head}, fields...), "\r\n")
	case name == "CLIENT" && (len(command) < 2 || !strings.HasPrefix(strings.ToUpper(command[1]), "SET")):
		return "-ERR unknown subcommand"
	}
	return "+OK"
}

var errProtocol = errors.New("not a command")

// readCommand reads an array of bulk strings, which is what clients send.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("%w: an array of %d", errProtocol, n)
	}
	command := make([]string, n)
	for i := range command {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

// readLength reads a line of a kind and a number.
func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	const most = 1 << 20
	if line[0] != kind || err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%w: %q", errProtocol, line)
	}
	return n, nil
}
