package pywire_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// channel is the lock of most tests; each has a server of its own.
const channel = "nightly"

// patience is how long a test waits for what must happen: far longer than
// anything takes, so that only a hang meets it.
const patience = 60 * time.Second

// The ids of participants that sort before, and after, all those of this package.
const (
	lowest  = "00000000000000000000000000000000"
	highest = "ffffffffffffffffffffffffffffffff"
)

// actor is a participant that says what the test wants it to say.
type actor struct {
	t      *testing.T
	client *redis.Client
	sub    *redis.PubSub
	pinged chan int // gets the number of each ping, after it was answered
	wg     sync.WaitGroup
	once   sync.Once
}

// play subscribes to the channel on a connection of that name, and answers each ping
// with what says gives for its number, from 1 on: nothing where that is "".
func play(t *testing.T, s *redistest.Server, name string, says func(n int) string) *actor {
	t.Helper()
	opts := s.Options()
	opts.ClientName = name
	dialed := false
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialed { // go-redis would subscribe again after it was cut off
			return nil, net.ErrClosed
		}
		dialed = true
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	a := &actor{t: t, client: redis.NewClient(opts), pinged: make(chan int, 10_000)}
	a.sub = a.client.Subscribe(t.Context(), channel)
	if _, err := a.sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	command := s.Client()
	a.wg.Go(func() {
		n := 0
		for {
			m, err := a.sub.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			_, rest, ok := strings.Cut(m.Payload, `"response_channel":"`)
			if !ok {
				_, rest, ok = strings.Cut(m.Payload, `"response_channel": "`)
			}
			if !ok {
				continue
			}
			n++
			response, _, _ := strings.Cut(rest, `"`)
			if text := says(n); text != "" {
				command.Publish(context.Background(), response, text)
			}
			a.pinged <- n
		}
	})
	t.Cleanup(a.leave)
	return a
}

// leave ends the subscription.
func (a *actor) leave() {
	a.once.Do(func() {
		_ = a.sub.Close()
		_ = a.client.Close()
		a.wg.Wait()
	})
}

// record is a reply as Python gives it, without "elected" before 4.2.
func record(id, mode, elected string) string {
	text := `{"holder_id": "` + id + `", "mode": "` + mode + `", "protocol": 1`
	if elected != "" {
		text += `, "elected": ` + elected
	}
	return text + "}"
}

// always says the same each time.
func always(text string) func(int) string { return func(int) string { return text } }

// holderName is the name of a participant's connection.
func holderName(id string) string { return channel + "-lock-" + id }

// subscribers is how many are on the channel.
func subscribers(t *testing.T, s *redistest.Server) int {
	t.Helper()
	n, err := s.Client().PubSubNumSub(t.Context(), channel).Result()
	must(t, err)
	return int(n[channel])
}

// connected says whether a connection of that name is there.
func connected(t *testing.T, s *redistest.Server, name string) bool {
	t.Helper()
	return strings.Contains(s.Do("CLIENT", "LIST").(string), " name="+name+" ")
}

// holder is the name of the one connection of a participant that is there.
func holder(t *testing.T, s *redistest.Server) (id, name string) {
	t.Helper()
	for line := range strings.Lines(s.Do("CLIENT", "LIST").(string)) {
		fields := map[string]string{}
		for _, f := range strings.Fields(line) {
			k, v, _ := strings.Cut(f, "=")
			fields[k] = v
		}
		if strings.HasPrefix(fields["name"], channel+"-lock") {
			id, name = fields["id"], fields["name"]
		}
	}
	return id, name
}

// awaitElected pings the channel until somebody answers to be elected.
func awaitElected(t *testing.T, s *redistest.Server) {
	t.Helper()
	c := s.Client()
	sub := c.Subscribe(t.Context(), "answers")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Error(err)
		return
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c.Publish(t.Context(), channel, `{"message": "ping", "response_channel": "answers"}`)
		for {
			m, err := sub.ReceiveTimeout(t.Context(), 20*time.Millisecond)
			if err != nil {
				break // all have answered
			}
			if m, ok := m.(*redis.Message); ok && strings.Contains(strings.ReplaceAll(m.Payload, " ", ""), `"elected":true`) {
				return
			}
		}
	}
	t.Error("never: somebody is elected")
}

// within fails unless the channel is closed, or gives something, some time.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

// acquired is a lock that must be had.
func acquired(t *testing.T, l *pywire.Lock, opts ...pywire.Option) *pywire.Lease {
	t.Helper()
	lease, err := l.Acquire(t.Context(), opts...)
	must(t, err)
	t.Cleanup(func() { _ = lease.Release(context.Background()) })
	return lease
}

// must fails unless the error is nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
