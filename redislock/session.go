package redislock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portalocker/portalocker/internal/redisconn"
)

const (
	// margin is the part of the TTL by which a session counts as lost before the
	// server forgets its lease: the two clocks may run at slightly different speeds.
	margin = 100

	// idleAfter is how long a session that nobody uses is kept, with its connection.
	idleAfter = time.Minute
)

// errOver says that a session has ended, so that the caller needs another one.
var errOver = errors.New("the session is over")

// errIdle ends a session that nobody uses.
var errIdle = errors.New("the session was idle")

// session is the sign of life of a process: a lease on the server that is renewed
// as long as the process runs, and a subscription that breaks when it dies. The
// server gives locks to sessions, and tells them of grants by the subscription.
// A session ends once, and everything that is held through it ends with it.
type session struct {
	conn     *redisconn.Conn
	settings *clientSettings
	key      string // of the lease, and the name of the channel
	place    string // "sharded" or "plain": how scripts find the channel

	mu      sync.Mutex
	next    int                // numbers the holders
	waiters map[string]*waiter // by holder
	leases  map[string]*Lease  // by holder
	pending int                // requests that are being taken back
	used    time.Time          // when there was last one of these
	left    chan struct{}      // gets an element when there is one less; holds one at most
	renewed moment             // when the last renewal began that the server confirmed
	heard   moment             // when the subscription last gave a sign of life
	again   chan struct{}      // gets an element when the lease is to be renewed at once
	sub     *redisconn.Subscription
	closing bool          // nothing new may be held
	err     error         // why the session has ended
	done    chan struct{} // closed when it has

	tasks sync.WaitGroup
}

// moment is a point in time by both clocks of the system. The monotonic one stops
// while some machines sleep, the other one can be set.
type moment time.Time

func now() moment { return moment(time.Now()) }

// since says how long ago a moment was, by the clock that says more.
func (m moment) since() time.Duration {
	t, now := time.Time(m), time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

// openSession subscribes and takes out a lease.
func openSession(ctx context.Context, conn *redisconn.Conn, settings *clientSettings, key string) (*session, error) {
	s := &session{
		conn: conn, settings: settings, key: key, place: "plain",
		waiters: map[string]*waiter{}, leases: map[string]*Lease{},
		used: time.Now(), left: make(chan struct{}, 1), again: make(chan struct{}, 1), heard: now(), done: make(chan struct{}),
	}
	if conn.Cluster() {
		s.place = "sharded"
	}
	var err error
	if s.sub, err = conn.Subscribe(ctx, "portalocker", key); err != nil {
		return nil, err
	}
	s.renewed = now()
	if err := conn.Set(ctx, key, string(settings.liveness), settings.ttl).Err(); err != nil {
		_ = s.sub.Close()
		return nil, err
	}
	s.debug("session begins", "session", key)
	s.tasks.Go(s.listen)
	s.tasks.Go(s.keepAlive)
	return s, nil
}

// enter registers a new holder, who waits from now on.
func (s *session) enter() (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closing {
		return nil, errOver
	}
	s.next++
	session := s.key[strings.LastIndexByte(s.key, ':')+1:]
	w := newWaiter(session + "-" + strconv.Itoa(s.next))
	s.waiters[w.holder] = w
	return w, nil
}

// hold turns a waiter into a lease, unless the session has ended or is about to:
// what comes after close has looked would not be released.
func (s *session) hold(w *waiter, l *Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return errOver
	case s.closing:
		return ErrClosed
	}
	delete(s.waiters, w.holder)
	s.leases[w.holder] = l
	return nil
}

// leave forgets a holder.
func (s *session) leave(holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiters, holder)
	delete(s.leases, holder)
	s.used = time.Now()
	select {
	case s.left <- struct{}{}:
	default:
	}
}

// check says whether the session has ended, and ends it if the clocks say so. A
// process that was stopped learns it here, before any timer has run.
func (s *session) check() error {
	s.mu.Lock()
	err, silence := s.err, s.renewed.since()
	s.mu.Unlock()
	if limit := s.limit(); err == nil && silence >= limit {
		s.end(fmt.Errorf("%w: its lease was not renewed for %v", ErrLost, silence.Round(time.Millisecond)))
		s.mu.Lock()
		err = s.err
		s.mu.Unlock()
	}
	return err
}

func (s *session) limit() time.Duration { return s.settings.ttl - s.settings.ttl/margin }

// listen hears of grants until the session ends. A subscription that breaks ends
// the session, unless it lives by its lease alone.
func (s *session) listen() {
	for {
		payload, pong, err := s.subscription().Receive()
		if err != nil {
			if s.settings.liveness == Connected {
				s.end(fmt.Errorf("%w: the connection broke: %w", ErrLost, s.conn.Explain(err)))
			}
			if !s.resubscribe() {
				return
			}
			continue
		}
		s.mu.Lock()
		s.heard = now()
		if !pong {
			s.dispatch(payload)
		}
		s.mu.Unlock()
	}
}

// dispatch gives a message, "granted HOLDER FENCE" or "front HOLDER", to whom it
// concerns. One who gives up at this moment is not there any more, and sees to it
// that the server takes the lock back.
func (s *session) dispatch(payload string) {
	fields := strings.Fields(payload)
	if len(fields) < 2 || s.waiters[fields[1]] == nil {
		return
	}
	switch w := s.waiters[fields[1]]; {
	case fields[0] == "granted" && len(fields) == 3:
		if fence, err := strconv.ParseInt(fields[2], 10, 64); err == nil {
			w.grant(fence)
		}
	case fields[0] == "front":
		w.advance()
	}
}

func (s *session) subscription() *redisconn.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sub
}

// resubscribe connects again, as often as it takes, and has all waiters look for
// what they have missed, also whether the server still knows the session. It is
// false when the session has ended.
func (s *session) resubscribe() bool {
	_ = s.subscription().Close()
	for s.pause(min(s.settings.ttl/20, maxAnswer/10)) {
		ctx, cancel := context.WithTimeout(context.Background(), s.conn.Answer())
		sub, err := s.conn.Subscribe(ctx, "portalocker", s.key)
		cancel()
		if err != nil {
			s.debug("subscription does not come back", "session", s.key, "error", err)
			continue
		}
		s.mu.Lock()
		over := s.err != nil
		if !over {
			s.sub, s.heard = sub, now()
			for _, w := range s.waiters {
				w.hurry()
			}
		}
		s.mu.Unlock()
		if over {
			_ = sub.Close()
			return false
		}
		signal(s.again)
		return true
	}
	return false
}

// renewEvery is a third of a lease's TTL, but at most an hour: what is held must be
// refreshed long before the server forgets it (forgetAfter).
func renewEvery(ttl time.Duration) time.Duration { return min(ttl/3, time.Hour) }

// keepAlive renews the lease, and soon again where that failed, until the session ends.
func (s *session) keepAlive() {
	regular := renewEvery(s.settings.ttl)
	wait := regular
	for s.pauseOr(wait, s.again) {
		wait = regular
		began := now()
		if err := s.renew(began); err != nil {
			s.debug("lease not renewed", "session", s.key, "error", err)
			wait = min(s.settings.ttl/10, maxAnswer/5)
		}
		if s.check() != nil {
			return
		}
		s.mu.Lock()
		silent := s.heard.since() >= s.settings.ttl
		sub, left := s.sub, s.limit()-s.renewed.since()
		s.mu.Unlock()
		switch {
		case silent && s.settings.liveness == Connected:
			s.end(fmt.Errorf("%w: the subscription has been silent for %v", ErrLost, s.settings.ttl))
		case silent:
			_ = sub.Close() // listen opens another one
		case s.endIf(s.idle, errIdle):
			s.giveUp()
		default:
			ctx, cancel := context.WithTimeout(context.Background(), s.conn.Answer())
			_ = sub.Ping(ctx) // where it fails, listen hears of that
			cancel()
		}
		wait = min(wait, max(left, 0))
	}
}

// renew asks the server to prolong the lease, and learns what it has forgotten.
func (s *session) renew(began moment) error {
	keys := []string{s.key}
	args := []any{s.place, string(s.settings.liveness), s.settings.ttl.Milliseconds(), forgetAfter}
	var held []*Lease
	s.mu.Lock()
	for _, l := range s.leases {
		keys = append(keys, l.lock.keys[0], l.lock.keys[3])
		args = append(args, l.holder)
		held = append(held, l)
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), min(s.conn.Answer(), max(s.limit()-s.silence(), time.Millisecond)))
	defer cancel()
	answer, err := renewScript().Run(ctx, s.conn, keys, args...).Int64Slice()
	if err == nil {
		err = checkRenewal(answer, len(held))
	}
	switch {
	case err != nil:
		return s.conn.Explain(err)
	case answer[0] == 0:
		s.end(fmt.Errorf("%w: the server at %s has forgotten the session, or seen its connection close", ErrLost, s.conn.Address()))
		return nil
	}
	s.mu.Lock()
	s.renewed = began
	s.mu.Unlock()
	for _, i := range answer[1:] {
		held[i-1].vanished()
	}
	return nil
}

// checkRenewal says whether the renew script can have given an answer about so many
// locks.
func checkRenewal(answer []int64, locks int) error {
	if len(answer) == 0 || slices.ContainsFunc(answer[1:], func(i int64) bool { return i < 1 || i > int64(locks) }) {
		return fmt.Errorf("%w: %v to a renewal", errNonsense, answer)
	}
	return nil
}

func (s *session) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewed.since()
}

// spawn runs f in the background, unless the session has ended.
func (s *session) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.tasks.Go(f)
	}
	return s.err == nil
}

// pause waits, and is false if the session ended.
func (s *session) pause(d time.Duration) bool { return s.pauseOr(d, nil) }

// pauseOr waits, but not when something comes before.
func (s *session) pauseOr(d time.Duration, came <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-came:
		return true
	case <-s.done:
		return false
	}
}

// end ends the session, with everything that is held through it. Only the first
// call has an effect.
func (s *session) end(err error) { s.endIf(func() bool { return true }, err) }

// endIf ends the session if, at this very moment, something is so; nobody enters
// between the look and the end. It says whether it has ended the session.
func (s *session) endIf(so func() bool, err error) bool {
	s.mu.Lock()
	if s.err != nil || !so() {
		s.mu.Unlock()
		return false
	}
	s.err = err
	close(s.done)
	sub, leases := s.sub, s.leases
	s.leases = nil
	s.mu.Unlock()
	for _, l := range leases {
		l.lose(err)
	}
	_ = sub.Close()
	if l := s.settings.logger; l != nil && errors.Is(err, ErrLost) && !errors.Is(err, ErrClosed) {
		l.Warn("session is lost", "session", s.key, "locks", len(leases), "error", err)
	}
	return true
}

// idle says whether the session has been of no use for long. The caller has s.mu.
func (s *session) idle() bool {
	return len(s.waiters)+len(s.leases)+s.pending == 0 && time.Since(s.used) >= s.settings.idle
}

// giveUp removes the lease of a session that has ended in good order.
func (s *session) giveUp() {
	ctx, cancel := context.WithTimeout(context.Background(), s.conn.Answer())
	defer cancel()
	_ = s.conn.Del(ctx, s.key).Err() // it has a TTL, too
	s.debug("session ends", "session", s.key)
}

// close ends the session in good order: what is held is released, what is being
// taken back is waited for, and the lease is given up.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), s.conn.Answer())
	defer cancel()
	s.mu.Lock()
	s.closing = true
	held := slices.Collect(maps.Values(s.leases))
	s.mu.Unlock()
	for _, l := range held {
		if ctx.Err() != nil {
			break // Release would wait all the same, for each
		}
		_ = l.Release(ctx) // what fails is freed by the end of the session
	}
	for s.busy() && ctx.Err() == nil {
		select {
		case <-s.left:
		case <-s.done:
		case <-ctx.Done():
		}
	}
	s.end(fmt.Errorf("%w: %w", ErrLost, ErrClosed))
	s.giveUp()
}

// busy says whether anybody waits or is being taken back.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && len(s.waiters)+s.pending > 0
}

func (s *session) debug(msg string, args ...any) {
	if s.settings.logger != nil {
		s.settings.logger.Debug(msg, args...)
	}
}
