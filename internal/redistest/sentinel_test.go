package redistest_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, "--requirepass secret")
	options, err := redis.ParseFailoverURL(s.URL())
	must(t, err)
	if options.MasterName != s.MasterName() || len(options.SentinelAddrs) != 1 || options.SentinelAddrs[0] != s.SentinelAddrs()[0] {
		t.Errorf("%s is %q at %v", s.URL(), options.MasterName, options.SentinelAddrs)
	}
	fromURL := redis.NewFailoverClient(options)
	t.Cleanup(func() { must(t, fromURL.Close()) })
	must(t, fromURL.Set(t.Context(), "before", "1", 0).Err())
	s.Master().Do("WAIT", 1, 5000)
	s.Master().Kill()
	s.AwaitFailover()
	for _, c := range []*redis.Client{s.Client(), fromURL} {
		testproc.Await(t, "the client reaches the new master", func() bool {
			return c.Set(t.Context(), "after", "1", 0).Err() == nil
		})
	}
	for _, key := range []string{"before", "after"} {
		if v := s.Replica().Do("GET", key); v != "1" {
			t.Errorf("%s is %v at the new master", key, v)
		}
	}
}
