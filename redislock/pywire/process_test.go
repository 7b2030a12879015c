//go:build unix

package pywire_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock/pywire"
)

func init() { roles["holder"] = holderRole }

// holderRole acquires a lock when it is told to, and says so; its arguments are the
// address, the channel, and "shared" or "exclusive".
func holderRole(p *testproc.Peer, args []string) error {
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	defer func() { _ = rdb.Close() }()
	opts := []pywire.Option{forever, often}
	if args[2] == "shared" {
		opts = append(opts, pywire.WithShared())
	}
	var lease *pywire.Lease
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		var err error
		switch line {
		case "acquire":
			lease, err = pywire.New(rdb, args[1], opts...).Acquire(context.Background())
		case "release":
			err = lease.Release(context.Background())
		case "err":
			err = lease.Err()
		}
		if err != nil {
			p.Say("error %s", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		p.Say("ok %s", line)
	}
}

// process starts a process of Go that holds the lock.
func process(t *testing.T, s *redistest.Server, mode string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "holder", s.Addr(), channel, mode)
	p.Say("acquire")
	p.Expect("ok")
	return p
}

// waiting starts an Acquire, and returns when it has been seen on the channel.
func waiting(t *testing.T, s *redistest.Server, opts ...pywire.Option) <-chan *pywire.Lease {
	t.Helper()
	got := make(chan *pywire.Lease, 1)
	before := subscribed(t, s)
	go func() {
		lease, err := pywire.New(s.Client(), channel, forever, often).Acquire(context.Background(), opts...)
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	testproc.Await(t, "one more tries", func() bool { return subscribed(t, s) > before })
	return got
}

// subscribed is how many SUBSCRIBE commands the server has seen.
func subscribed(t *testing.T, s *redistest.Server) int {
	t.Helper()
	_, rest, _ := strings.Cut(s.Do("INFO", "commandstats").(string), "cmdstat_subscribe:calls=")
	n := 0
	for _, digit := range rest {
		if digit < '0' || digit > '9' {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return n
}

// TestKilled: the lock of a process that is killed is free.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exclusive", "shared"} {
		s := redistest.Start(t)
		p := process(t, s, mode)
		got := waiting(t, s)
		p.Kill()
		must(t, within(t, "the waiter has the lock", got).Release(t.Context()))
	}
}

// TestWedged: a process that is stopped is cut off, and knows it when it runs again,
// before it asks the server.
func TestWedged(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exclusive", "shared"} {
		s := redistest.Start(t)
		p := process(t, s, mode)
		p.Stop()
		lease := within(t, "the waiter has the lock", waiting(t, s))
		p.Say("err")
		p.Continue()
		if said := p.Expect("error "); !strings.Contains(said, "lost") {
			t.Errorf("it says %q", said)
		}
		must(t, lease.Err())
		must(t, lease.Release(t.Context()))
	}
}

// TestServerGone: a server that stops, or dies, takes the lock with it; one that comes
// back has it again.
func TestServerGone(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for name, end := range map[string]func(){"killed": s.Kill, "stopped": s.Stop} {
		lock := pywire.New(s.Client(), channel, pywire.WithUnavailableTimeout(400*time.Millisecond))
		lease := acquired(t, lock)
		end()
		within(t, name+": the lock is lost", lease.Lost())
		s.Restart()
		must(t, acquired(t, lock, once).Release(t.Context()))
	}
}
