package redistest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
)

const masterName = "redistest"

// Sentinel is a master and its replica under one sentinel, which takes a second
// or two to see that the master is gone and to promote the replica.
type Sentinel struct {
	t                         testing.TB
	master, replica, sentinel *Server
}

// StartSentinel starts them, and waits until the replica has the master's data
// and the sentinel could promote it. The arguments are those of Start, for the
// master and the replica.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t}
	s.master = Start(t, args...)
	port := strconv.Itoa(s.master.port)
	s.replica = newServer(t, args)
	s.replica.first = append(s.replica.first, "--replicaof", "127.0.0.1", port)
	if p := s.master.password; p != "" {
		s.replica.first = append(s.replica.first, "--masterauth", p)
	}
	s.replica.start()
	s.replica.await("follow its master", func() error {
		return s.replica.expect("master_link_status", "up", "INFO", "replication")
	})
	s.sentinel = newServer(t, nil)
	config := "sentinel monitor " + masterName + " 127.0.0.1 " + port + " 1\n" + // one sentinel is enough to agree
		"sentinel down-after-milliseconds " + masterName + " 500\n" +
		"sentinel failover-timeout " + masterName + " 5000\n"
	if p := s.master.password; p != "" {
		config += "sentinel auth-pass " + masterName + " " + p + "\n"
	}
	// It keeps what it learns in this file (sentinel documentation, "Running
	// Sentinel": the file is mandatory).
	file := s.sentinel.file("sentinel.conf")
	s.sentinel.must(os.WriteFile(file, []byte(config), 0o600))
	s.sentinel.first = []string{file, "--sentinel"}
	s.sentinel.start()
	s.sentinel.await("know the replica", s.knowsReplica)
	return s
}

// SentinelAddrs are the addresses of the sentinels.
func (s *Sentinel) SentinelAddrs() []string { return []string{s.sentinel.Addr()} }

// MasterName is what the sentinels call the master.
func (s *Sentinel) MasterName() string { return masterName }

// Master is the server that was started as the master.
func (s *Sentinel) Master() *Server { return s.master }

// Replica is the server that was started as the replica.
func (s *Sentinel) Replica() *Server { return s.replica }

// Options are what a client needs to reach the present master.
func (s *Sentinel) Options() *redis.FailoverOptions {
	return &redis.FailoverOptions{MasterName: masterName, SentinelAddrs: s.SentinelAddrs(), Password: s.master.password}
}

// URL is the sentinels' address in the form that redis.ParseFailoverURL reads.
func (s *Sentinel) URL() string {
	query := url.Values{"master_name": {masterName}}
	if s.master.password != "" {
		query.Set("password", s.master.password) // where others have it, it would be the sentinel's
	}
	u := url.URL{Scheme: "redis", Host: s.sentinel.Addr(), RawQuery: query.Encode()}
	return u.String()
}

// Client is a new client of the present master, which is closed at the end of
// the test.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(s.Options())
	s.t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	return c
}

// AwaitFailover waits until the replica is the master and the sentinel says so.
func (s *Sentinel) AwaitFailover() {
	s.t.Helper()
	s.replica.await("become the master", func() error {
		return s.replica.expect("role", "master", "INFO", "replication")
	})
	want := fmt.Sprint([]any{"127.0.0.1", strconv.Itoa(s.replica.port)})
	s.sentinel.await("name the new master", func() error {
		got, err := s.sentinel.try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
		if err != nil || fmt.Sprint(got) != want {
			return fmt.Errorf("it names %v: %w", got, err)
		}
		return nil
	})
}

// knowsReplica is nil once the sentinel would promote the replica.
func (s *Sentinel) knowsReplica() error {
	v, err := s.sentinel.try("SENTINEL", "REPLICAS", masterName)
	if err != nil {
		return err
	}
	replicas, _ := v.([]any)
	if len(replicas) != 1 {
		return fmt.Errorf("it knows %d replicas", len(replicas))
	}
	about, ok := replicas[0].(map[any]any) // RESP3; the flags gain words such as s_down and disconnected
	if !ok || about["flags"] != "slave" || about["master-link-status"] != "ok" {
		return errors.New(fmt.Sprint(replicas[0]))
	}
	return nil
}
