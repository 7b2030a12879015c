package main

import (
	"fmt"
	"testing"
)

func TestVersionsBelongToTheirPeers(t *testing.T) {
	m := machine{Peers: []string{
		"gofrs/flock v0.13.2", "bsm/redislock v0.9.4", "redis/go-redis/v9 v9.23.0", "redis/rueidis v1.0.79",
		"flock(1) of util-linux 2.38.1", "redis-server 7.0.15", "Python 3.11.7", "Python portalocker 4.4.2", "Python filelock 4.2.12",
	}}
	for _, c := range []struct {
		who  string
		want string
	}{
		{ours, "[]"},
		{gofrsPolls, "[gofrs/flock v0.13.2]"},
		{kernel, "[]"},
		{flockCommand, "[flock(1) of util-linux 2.38.1]"},
		{pythonFilelock, "[Python 3.11.7 Python filelock 4.2.12]"},
		{bsmPeer, "[bsm/redislock v0.9.4 redis/go-redis/v9 v9.23.0 redis-server 7.0.15]"},
		{rueidisPeer, "[redis/rueidis v1.0.79 redis-server 7.0.15]"},
		{oursRedis, "[redis/go-redis/v9 v9.23.0 redis-server 7.0.15]"},
	} {
		if got := fmt.Sprint(m.peersOf([]string{c.who})); got != c.want {
			t.Errorf("%s: %s, want %s", c.who, got, c.want)
		}
	}
}
