package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// staying are the files that stay when nobody has a lock. Not those of the temporary
// kinds, and no draft of an atomic file.
var staying = []string{
	"flock.lock", "ofd.lock", "posix.lock", "rlock.lock", "atomic",
	"named.00.lock", "named.01.lock", "named.02.lock", "bounded_semaphore.00.lock", "bounded_semaphore.01.lock",
}

// folderLitter looks what is left when everybody has closed everything.
func (c *campaign) folderLitter() {
	entries, err := os.ReadDir(c.disk)
	if err != nil {
		c.litter("%v", err)
	}
	for _, e := range entries {
		if !slices.Contains(staying, e.Name()) {
			c.litter("the file %s has stayed", e.Name())
		}
		holders, err := portalocker.Holders(filepath.Join(c.disk, e.Name()))
		if err != nil || len(holders) > 0 {
			c.litter("%s has holders or waiters: %v %v", e.Name(), holders, err)
		}
	}
}

func (c *campaign) litter(format string, args ...any) {
	c.round.add(violation{check: "litter", at: clock(), text: fmt.Sprintf(format, args...)})
}

// serverLitter looks what is left on the server. The links that a fault has left
// half-open end only now, and the leases of workers that were killed run out.
func (c *campaign) serverLitter() {
	for _, s := range c.slots {
		s.proxy.Cut()
	}
	var left []string
	for end := time.Now().Add(3*ttl + 10*time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if left, err = c.server.leftovers(); err != nil {
			left = []string{err.Error()}
		}
		if len(left) == 0 {
			return
		}
	}
	c.litter("on the server: %s", strings.Join(left, "; "))
}

// leftovers lists what a server has though nobody uses a lock: connections,
// subscriptions, keys but the last fences. Whose answer was not had withdraws what it may
// have asked for, and the server refuses that for a while by a key of its own.
func (s *server) leftovers() (left []string, err error) {
	ctx := context.Background()
	if err := s.reap(ctx); err != nil {
		return nil, err
	}
	clients, err := s.rdb.ClientList(ctx).Result()
	if err != nil {
		return nil, err
	}
	for client := range strings.Lines(clients) {
		if !strings.Contains(client, "name="+coordinator) {
			left = append(left, "the connection "+strings.TrimSpace(client))
		}
	}
	channels, err := s.rdb.PubSubChannels(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	for _, name := range channels {
		left = append(left, "the channel "+name)
	}
	keys, err := s.rdb.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if !strings.HasSuffix(key, ":fence") && !strings.Contains(key, ":withdrawn:") {
			left = append(left, "the key "+key)
		} else if s.rdb.TTL(ctx, key).Val() == -1 {
			left = append(left, "for ever, the key "+key)
		}
	}
	return left, nil
}

// reap looks at every lock, as "portalocker redis ls" does. A holder that was killed stays
// on record until somebody looks, which nobody has to where others fit beside it.
func (s *server) reap(ctx context.Context) error {
	locks := redislock.New(s.rdb)
	var errs []error
	for _, k := range kinds {
		if k.liveness != "" {
			_, err := locks.Status(ctx, k.name)
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, locks.Close())...)
}
