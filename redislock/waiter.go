package redislock

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portalocker/portalocker/internal/redisconn"
)

// grace is how long one who gives up waits for the server to take the request back;
// after that it is done in the background.
const grace = 250 * time.Millisecond

// barred is how long the server refuses a request that was taken back while its
// answer was outstanding. TCP may go on trying to deliver it that long, also
// after the connection was closed: tcp_retries2 of tcp(7) amounts to some 15
// minutes.
const barred = 20 * time.Minute

// waiter is one request to the server, and what the server says to it.
type waiter struct {
	holder    string
	granted   chan int64     // gets the fence, once
	front     chan struct{}  // gets an element when the waiter has come to the front of the queue
	look      chan struct{}  // gets an element when messages may have been missed
	asking    sync.WaitGroup // of commands whose answers are outstanding
	entered   atomic.Bool    // the server may have a record of it
	uncertain atomic.Bool    // the answer to a command was not had: the server may get it later
}

func newWaiter(holder string) *waiter {
	return &waiter{
		holder:  holder,
		granted: make(chan int64, 1),
		front:   make(chan struct{}, 1),
		look:    make(chan struct{}, 1),
	}
}

func (w *waiter) grant(fence int64) {
	select {
	case w.granted <- fence:
	default: // the server has said so before
	}
}

func (w *waiter) advance() { signal(w.front) }
func (w *waiter) hurry()   { signal(w.look) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// bar is for how many milliseconds the server must refuse a request that was taken
// back.
func (w *waiter) bar() int64 {
	if w.uncertain.Load() {
		return barred.Milliseconds()
	}
	return 0
}

// takeBack makes sure that nothing of a holder stays on the server, and returns the
// entry of somebody who has the lock. It returns when that is done or when ctx
// ends, and then goes on in the background, until the server has answered or the
// session ends because it does not.
func (s *session) takeBack(ctx context.Context, keys []string, w *waiter) (owner string) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return ""
	}
	s.pending++
	answer := make(chan string, 1)
	s.tasks.Go(func() {
		w.asking.Wait()
		answer <- s.insist(keys, w)
		s.mu.Lock()
		s.pending--
		s.mu.Unlock()
		s.leave(w.holder)
	})
	s.mu.Unlock()
	select {
	case owner = <-answer:
	case <-ctx.Done():
	}
	return owner
}

// insist runs the cancel script until there is an answer.
func (s *session) insist(keys []string, w *waiter) string {
	var began moment
	for first := true; ; first = false {
		select {
		case s.conn.Back() <- struct{}{}:
		case <-s.done:
			return ""
		}
		if first {
			began = now()
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.conn.Answer())
		owner, err := cancelScript().Run(ctx, s.conn, keys, s.place, w.holder, s.key, w.bar()).Text()
		cancel()
		s.conn.EndBack()
		switch {
		case err == nil:
			return owner
		case redisconn.Final(err) && !w.entered.Load():
			return "" // it was refused as well when it was made
		case began.since() >= s.settings.ttl: // also of refusals: a server that is BUSY or LOADING may come to itself
			s.end(fmt.Errorf("%w: a request could not be taken back: %w", ErrLost, s.conn.Explain(err)))
			return ""
		case !s.pause(min(s.settings.ttl/40, maxAnswer/20)):
			return ""
		}
	}
}
