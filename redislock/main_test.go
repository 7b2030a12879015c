package redislock_test

import (
	"context"
	"errors"
	"log"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

// roles is what this test binary can be when a test starts it again.
var roles = map[string]testproc.Role{
	"locker": lockerRole,
}

// patience is how long a test waits for what must happen: far longer than anything
// takes, so that only a hang meets it.
const patience = 60 * time.Second

// ttl is a lease that tests can outwait, and that a busy machine can still renew.
const ttl = 1500 * time.Millisecond

// Nobody looks at the clock within an hour: what happens then is a hand-over.
var handOverOnly = redislock.WithCheckInterval(time.Hour)

var forever = redislock.WithTimeout(portalocker.Forever)

func TestMain(m *testing.M) {
	testproc.Main(roles)
	redis.SetLogger(quiet{})
	goleak.VerifyTestMain(withExamples{m})
}

// quiet keeps go-redis from writing to standard error what the tests provoke.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// withExamples runs the tests with a server for the examples.
type withExamples struct{ m *testing.M }

// exampleServer is where the examples find Redis.
var exampleServer string

func (w withExamples) Run() int {
	s, err := miniredis.Run()
	if err != nil {
		log.Print(err)
		return 1
	}
	defer s.Close()
	exampleServer = s.Addr()
	return w.m.Run()
}

// servers runs a test on a real server, where one is installed, and on miniredis.
func servers(t *testing.T, test func(t *testing.T, addr string)) {
	t.Parallel()
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, redistest.Start(t).Addr())
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, miniredis.RunT(t).Addr())
	})
}

// newRedis is a go-redis client that ends with the test.
func newRedis(t testing.TB, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() }) // the test may have closed it
	return rdb
}

// newClient is a Client that is closed at the end of the test.
func newClient(t testing.TB, addr string, opts ...redislock.Option) *redislock.Client {
	return newClientOf(t, newRedis(t, addr), opts...)
}

func newClientOf(t testing.TB, rdb redis.UniversalClient, opts ...redislock.Option) *redislock.Client {
	c := redislock.New(rdb, opts...)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// locker is a *redislock.Lock or a *redislock.Semaphore.
type locker interface {
	Acquire(context.Context, ...redislock.LockOption) (*redislock.Lease, error)
}

// acquire gets a lock or fails the test.
func acquire(t testing.TB, l locker, opts ...redislock.LockOption) *redislock.Lease {
	t.Helper()
	lease, err := l.Acquire(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func release(t testing.TB, l *redislock.Lease) {
	t.Helper()
	if err := l.Release(context.Background()); err != nil {
		t.Error(err)
	}
}

// result is what an Acquire in the background comes to.
type result struct {
	lease *redislock.Lease
	err   error
}

// queueUp starts an Acquire by c, and returns when the server has one waiter more and
// has said so to it.
func queueUp(t testing.TB, c *redislock.Client, name string, l locker, opts ...redislock.LockOption) <-chan result {
	t.Helper()
	waiting, answered := status(t, c, name).Waiting, c.Answered()
	came := make(chan result, 1)
	go func() {
		lease, err := l.Acquire(t.Context(), opts...)
		came <- result{lease, err}
	}()
	testproc.Await(t, "a waiter more", func() bool { return status(t, c, name).Waiting > waiting && c.Answered() > answered })
	return came
}

func status(t testing.TB, c *redislock.Client, name string) redislock.Status {
	t.Helper()
	s, err := c.Status(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get waits for what a channel brings.
func get[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// lease waits for an Acquire that must succeed.
func leaseOf(t testing.TB, c <-chan result) *redislock.Lease {
	t.Helper()
	r := get(t, c)
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.lease
}

// keysBut lists the keys of a server, less those that are named.
func keysBut(t testing.TB, rdb redis.UniversalClient, but ...string) []string {
	t.Helper()
	keys, err := rdb.Keys(context.Background(), "*").Result()
	must(t, err)
	return slices.DeleteFunc(keys, func(k string) bool { return slices.Contains(but, k) })
}

// fenceKey is the one that stays when a name is not in use any more.
func fenceKey(name string) string { return "portalocker:{" + name + "}:fence" }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails unless an error is each of some.
func is(t testing.TB, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%v: is not %q", err, target)
		}
	}
}

var errWhy = errors.New("why")

func withCause(t *testing.T) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

func itself() int { return os.Getpid() }
