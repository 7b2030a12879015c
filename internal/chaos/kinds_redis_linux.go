package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/redislock"
)

// client is what a worker has for one liveness, from one round to the next.
type client struct {
	rdb   *redis.Client
	locks *redislock.Client
}

func (w *worker) connect() {
	w.clients = map[redislock.Liveness]client{}
	if w.Redis == "" {
		return
	}
	for _, by := range []redislock.Liveness{redislock.Connected, redislock.LeaseOnly} {
		rdb := redis.NewClient(&redis.Options{Addr: w.Redis})
		w.clients[by] = client{rdb, redislock.New(rdb, redislock.WithLeaseTTL(ttl), redislock.WithLiveness(by),
			redislock.WithLogger(slog.New(&sessionLog{recorder: w.recorder, liveness: by})))}
	}
}

func (w *worker) disconnect() (err error) {
	for _, c := range w.clients {
		err = errors.Join(err, c.locks.Close(), c.rdb.Close())
	}
	w.clients = nil
	return err
}

func onServer(w *worker, k *kind, how request) (held, error) {
	locks := w.clients[k.liveness].locks
	opts := []redislock.LockOption{redislock.WithTimeout(how.timeout)}
	var lease *redislock.Lease
	var err error
	switch {
	case k.permits > 0:
		lease, err = locks.NewSemaphore(k.name, k.permits).Acquire(how.ctx, opts...)
	case how.shared:
		lease, err = locks.NewLock(k.name, redislock.WithShared()).Acquire(how.ctx, opts...)
	default:
		lease, err = locks.NewLock(k.name).Acquire(how.ctx, opts...)
	}
	if err != nil {
		return held{}, err
	}
	return held{
		release: func() error { return lease.Release(context.Background()) },
		fence:   lease.Fence(),
		err:     lease.Err,
	}, nil
}

// sessionLog takes note of the sessions that begin.
type sessionLog struct {
	recorder *recorder
	liveness redislock.Liveness
}

func (*sessionLog) Enabled(context.Context, slog.Level) bool { return true }
func (s *sessionLog) WithAttrs([]slog.Attr) slog.Handler     { return s }
func (s *sessionLog) WithGroup(string) slog.Handler          { return s }

func (s *sessionLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session begins" {
		s.recorder.add(event{kind: session, text: string(s.liveness)})
	}
	return nil
}

// quiet is a logger for go-redis, which tells of every connection that breaks.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
