package redistest_test

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redistest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, "--maxmemory 20mb")
	options, err := redis.ParseClusterURL(cluster.URL())
	must(t, err)
	if !slices.Equal(options.Addrs, cluster.Addrs()) {
		t.Errorf("%s is at %v, not %v", cluster.URL(), options.Addrs, cluster.Addrs())
	}
	for _, s := range cluster.Servers() {
		slots, err := s.Client().ClusterShards(t.Context()).Result()
		if err != nil || len(slots) != 3 {
			t.Errorf("%s knows the shards %v, %v", s.Addr(), slots, err)
		}
	}
	c := cluster.Client()
	const keys = 3000
	sets := c.Pipeline()
	for i := range keys {
		sets.Set(t.Context(), itoa(i), i, 0)
	}
	_, err = sets.Exec(t.Context())
	must(t, err)
	var total int64
	for i, s := range cluster.Servers() {
		n := s.Do("DBSIZE").(int64)
		if n < keys/6 {
			t.Errorf("master %d has %d of %d keys", i, n, keys)
		}
		total += n
	}
	if total != keys {
		t.Errorf("%d keys in all, not %d", total, keys)
	}
	if v := cluster.Master("17").Do("GET", "17"); v != "17" {
		t.Errorf("the master of key 17 says it is %v", v)
	}

	s := cluster.Servers()[1] // one that dies and comes back without its keys
	s.Restart()
	cluster.AwaitOK()
	if n := s.Do("DBSIZE"); n != int64(0) {
		t.Errorf("%v keys after a restart", n)
	}
	for i := range 50 {
		must(t, c.Set(t.Context(), itoa(i), i, 0).Err())
	}
	if v, err := s.Client().ConfigGet(t.Context(), "maxmemory").Result(); err != nil || v["maxmemory"] != "20971520" {
		t.Errorf("maxmemory is %v, %v: the argument was not given on", v, err)
	}
}
