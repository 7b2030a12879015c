package redistest

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
)

// Cluster is a Redis Cluster of three masters that share all slots, without
// replicas.
type Cluster struct {
	t       testing.TB
	servers []*Server
}

// StartCluster starts a cluster and waits until all of it works. The arguments
// are those of Start, for each of its servers.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range masters {
		s := newServer(t, args)
		s.first = append(s.first, "--cluster-enabled yes", "--cluster-node-timeout 2000")
		s.start()
		c.servers = append(c.servers, s)
	}
	for i, s := range c.servers {
		add := []any{"CLUSTER", "ADDSLOTS"}
		for slot := i * slots / masters; slot < (i+1)*slots/masters; slot++ {
			add = append(add, slot)
		}
		s.Do(add...)
		// Two masters with one epoch would have to settle that first.
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, s := range c.servers[1:] {
		c.servers[0].Do("CLUSTER", "MEET", "127.0.0.1", s.port)
	}
	c.AwaitOK()
	return c
}

// Servers are the masters, in the order of their slots.
func (c *Cluster) Servers() []*Server { return c.servers }

// Addrs are the addresses of the masters.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, 0, masters)
	for _, s := range c.servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// URL is the cluster's address in the form that redis.ParseClusterURL reads.
func (c *Cluster) URL() string {
	addrs := c.Addrs()
	return c.servers[0].URL() + "?" + url.Values{"addr": addrs[1:]}.Encode()
}

// Client is a new client, which is closed at the end of the test.
func (c *Cluster) Client() *redis.ClusterClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), Password: c.servers[0].password})
	c.t.Cleanup(func() { _ = client.Close() }) // the test may have closed it
	return client
}

// Master is the server that has the slot of a key.
func (c *Cluster) Master(key string) *Server {
	c.t.Helper()
	slot := c.servers[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	for i, s := range c.servers {
		if slot < int64((i+1)*slots/masters) {
			return s
		}
	}
	c.t.Fatalf("%q is in slot %d", key, slot)
	return nil
}

// AwaitOK waits until every server says that the cluster works and knows all of
// it. A server that was started again needs that.
func (c *Cluster) AwaitOK() {
	c.t.Helper()
	for _, s := range c.servers {
		s.await("join the cluster", func() error {
			for field, want := range map[string]string{
				"cluster_state": "ok", "cluster_known_nodes": strconv.Itoa(masters), "cluster_slots_ok": strconv.Itoa(slots),
			} {
				if err := s.expect(field, want, "CLUSTER", "INFO"); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
