package redisconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/redisconn"
	"github.com/portalocker/portalocker/internal/redistest"
)

// answer is what the tests give a server for an answer.
const answer = 500 * time.Millisecond

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(m)
}

// quiet keeps go-redis from writing to standard error what the tests provoke.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func newConn(t *testing.T, rdb redis.UniversalClient) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.New(rdb, answer)
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()); must(t, rdb.Close()) })
	return c
}

func single(t *testing.T, addr string) *redisconn.Conn {
	t.Helper()
	return newConn(t, redis.NewClient(&redis.Options{Addr: addr, Password: ""}))
}

func TestNewRefuses(t *testing.T) {
	for _, rdb := range []redis.UniversalClient{nil, redis.NewRing(&redis.RingOptions{})} {
		if _, err := redisconn.New(rdb, answer); err == nil || !strings.Contains(err.Error(), "NewFailoverClient") {
			t.Errorf("%T: %v", rdb, err)
		}
		if rdb != nil {
			must(t, rdb.Close())
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	const secret = "sesame"
	for want, rdb := range map[string]redis.UniversalClient{
		"somewhere:1": redis.NewClient(&redis.Options{Addr: "somewhere:1", Username: secret, Password: secret}),
		"/run/redis":  redis.NewClient(&redis.Options{Network: "unix", Addr: "/run/redis"}),
		"cluster a:1": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1", "b:2"}, Password: secret}),
		"the master that the sentinels name": redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "m", SentinelAddrs: []string{"a:1"}, Password: secret, SentinelPassword: secret,
		}),
	} {
		c := newConn(t, rdb)
		if c.Address() != want {
			t.Errorf("%s, not %s", c.Address(), want)
		}
	}
}

// TestAsksOnce: a command is sent once, however the user's client is set up, and its
// error comes within the time for an answer.
func TestAsksOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	connections := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections <- struct{}{}
			_ = c.Close()
		}
	}()
	rdb := redis.NewClient(&redis.Options{Addr: l.Addr().String(), MaxRetries: 5, DialerRetries: 5, MinRetryBackoff: time.Nanosecond})
	rdb.Options().MinIdleConns = 3 // after the client was made, which would connect itself
	t.Cleanup(func() { must(t, rdb.Close()) })
	c := newConnOnly(t, rdb)
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("no error")
	}
	must(t, c.Close())
	must(t, l.Close())
	<-done
	if n := len(connections); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func newConnOnly(t *testing.T, rdb redis.UniversalClient) *redisconn.Conn {
	t.Helper()
	c, err := redisconn.New(rdb, answer)
	must(t, err)
	return c
}

// TestSubscription: what is published comes, the connection has its name, and Close
// ends a Receive.
func TestSubscription(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := single(t, s.Addr())
	sub, err := c.Subscribe(t.Context(), "me", "channel")
	must(t, err)
	if list := fmt.Sprint(s.Do("CLIENT", "LIST", "TYPE", "pubsub")); strings.Count(list, "name=me ") != 1 {
		t.Errorf("the server's clients: %s", list)
	}
	must(t, c.Publish(t.Context(), "channel", "hello").Err())
	if payload, pong, err := sub.Receive(); payload != "hello" || pong || err != nil {
		t.Errorf("%q, %v, %v", payload, pong, err)
	}
	must(t, sub.Ping(t.Context()))
	if payload, pong, err := sub.Receive(); !pong || err != nil {
		t.Errorf("%q, %v, %v", payload, pong, err)
	}
	ended := make(chan error)
	go func() {
		_, _, err := sub.Receive()
		ended <- err
	}()
	must(t, sub.Close())
	if err := <-ended; err == nil {
		t.Error("Receive goes on after Close")
	}
}

// TestSubscriptionEnds: it does not come back by itself, by whatever it ended.
func TestSubscriptionEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := single(t, s.Addr())
	for how, end := range map[string]func(){
		"kill":    func() { s.Do("CLIENT", "KILL", "TYPE", "pubsub") },
		"restart": func() { s.Restart() },
	} {
		sub, err := c.Subscribe(t.Context(), "me", "channel")
		must(t, err)
		end()
		for range 3 {
			if _, _, err := sub.Receive(); err == nil {
				t.Errorf("%s: Receive goes on", how)
			}
			_ = sub.Ping(t.Context())
		}
		if n, err := c.PubSubNumSub(t.Context(), "channel").Result(); err != nil || n["channel"] != 0 {
			t.Errorf("%s: %v are subscribed, %v", how, n, err)
		}
		must(t, sub.Close())
	}
}

// TestSubscribeFails: the error is the one that matters, not that there was no
// second try.
func TestSubscribeFails(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--requirepass", "sesame")
	nobody := redistest.Nobody(t)
	silent := redistest.NewProxy(t, s.Addr())
	silent.HalfOpen()
	for want, addr := range map[string]string{
		"it asks for a password": s.Addr(), "connection refused": nobody, "does not answer": silent.Addr(),
		"it is still reading": redistest.NewErrorServer(t, "-LOADING Redis is loading").Addr(),
	} {
		c := single(t, addr)
		_, err := c.Subscribe(t.Context(), "me", "channel")
		if err = c.Explain(err); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), addr) || !errors.Is(err, redisconn.ErrUnavailable) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := single(t, silent.Addr()).Subscribe(ctx, "me", "channel"); !errors.Is(err, context.DeadlineExceeded) {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("when the context ends: %v", err)
		}
	}
}

// reply is an error that a server gave.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestExplain(t *testing.T) {
	t.Parallel()
	c := single(t, miniredis.RunT(t).Addr())
	for _, want := range []struct {
		err       error
		says      string
		available bool
	}{
		{reply("OOM command not allowed when used memory > 'maxmemory'."), "raise maxmemory", false},
		{reply("OOM command not allowed. script: 4ee8, on @user_script:71."), "raise maxmemory", false},
		{reply("ERR Error running script (call to f_4e): @user_script:71: -OOM command not allowed"), "raise maxmemory", false},
		{reply("ERR Error running script (call to f_4e): @user_script:71: @user_script: 71: -READONLY You can't write against a read only replica."), "connect to the master", false},
		{reply("ERR Error running script (call to f_4e): @user_script:7: @user_script: 7: The user executing the script can't run this command"), "its ACL forbids", false},
		{reply("ERR The user executing the script can't publish to the channel mentioned in the command script: 4e"), "its ACL forbids", false},
		{reply("WRONGTYPE Operation against a key holding the wrong kind of value"), "redis at " + c.Address() + ": WRONGTYPE", true},
		{reply("ERR a lock called NOAUTH is here"), "redis at", true}, // the word alone is no code
		{io.EOF, "is it running", false},
		{io.ErrUnexpectedEOF, "is it running", false},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "does not answer", false},
		{context.DeadlineExceeded, "does not answer", false},
		{redis.ErrPoolTimeout, "does not answer", false},
		{&net.DNSError{Err: "no such host", Name: "h"}, "is it running", false},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, "unknown authority", false},
		{errors.New("redis: all sentinels specified in configuration are unreachable"), "all sentinels", false},
		{context.Canceled, "context canceled", true},
	} {
		err := c.Explain(fmt.Errorf("wrapped: %w", want.err))
		if _, server := want.err.(reply); server {
			err = c.Explain(want.err)
		}
		// A server's silence must not look as if the caller's context had ended.
		wrapped := want.says != "does not answer"
		if !strings.Contains(err.Error(), want.says) || errors.Is(err, redisconn.ErrUnavailable) == want.available || errors.Is(err, want.err) != wrapped {
			t.Errorf("%v becomes %v", want.err, err)
		}
		if again := c.Explain(err); errors.Is(err, redisconn.ErrUnavailable) && again != err {
			t.Errorf("explained twice: %v", again)
		}
	}
	if c.Explain(nil) != nil {
		t.Error("nil is explained")
	}
	if redisconn.Final(io.EOF) || redisconn.Final(context.DeadlineExceeded) || !redisconn.Final(reply("ERR x")) {
		t.Error("Final")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
