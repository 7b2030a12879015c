package redislock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/cause"
	"github.com/portalocker/portalocker/internal/redisconn"
)

// attempt is one Acquire.
type attempt struct {
	*mutex
	lockSettings
	ctx      context.Context
	began    time.Time
	end      time.Time        // of the timeout; zero for never
	expired  <-chan time.Time // of the timeout; nil for never
	answered bool             // the server has said that somebody else has the lock
	owner    string           // the entry of one of those, "" where that is not known
	trouble  error            // why the server did not answer when it was last asked; nil if it did
}

// answer is what the acquire script says.
type answer struct {
	state   string // granted, waiting, locked, over, foreign or withdrawn
	fence   int64  // if granted
	place   int    // if waiting: how many are before
	owner   string // if locked
	foreign int64  // how many of Python's locks have the name
}

// run goes through sessions until one brings the lock, or an error.
func (a *attempt) run() (*Lease, error) {
	for tries := 0; ; tries++ {
		s, err := a.client.session(a)
		if err != nil {
			return nil, a.failed(err)
		}
		w, err := s.enter()
		if err == nil {
			var l *Lease
			if l, err = a.wait(s, w); err == nil {
				return l, nil
			}
		}
		if !errors.Is(err, errOver) {
			a.withdraw(s, w, err)
			return nil, a.failed(err)
		}
		a.answered, a.owner, a.trouble = false, "", nil // that was long ago
		// The session has ended under the wait, and with it the place in the queue. A
		// server that ends them all, one after the other, is not to be pestered.
		if err := a.pause(time.Duration(min(tries*tries, 100)) * 10 * time.Millisecond); err != nil {
			return nil, a.failed(err)
		}
	}
}

// wait asks the server, and waits until it says yes.
func (a *attempt) wait(s *session, w *waiter) (*Lease, error) {
	check := time.NewTimer(time.Hour)
	defer check.Stop()
	for {
		said, err := a.ask(s, w)
		switch {
		case err != nil && (!a.answered || a.over() != nil || redisconn.Final(err)),
			errors.Is(err, errNoAnswer), errors.Is(err, errOver):
			return nil, err
		case err != nil: // the link is bad: the session goes on as long as it can
			a.trouble = err
			said = answer{state: "waiting"}
		}
		switch said.state {
		case "granted":
			return a.hold(s, w, said.fence)
		case "foreign":
			return nil, fmt.Errorf("%w (%d subscribed to the channel %q)", ErrForeignPeers, said.foreign, a.name)
		case "over":
			s.end(fmt.Errorf("%w: the server at %s has forgotten the session", ErrLost, a.client.conn.Address()))
			return nil, errOver
		}
		if err == nil {
			a.answered, a.owner, a.trouble = true, said.owner, nil // of one who waits, cancel tells the owner
		}
		if said.state != "waiting" {
			return nil, portalocker.ErrAlreadyLocked
		}
		next := a.untilCheck(said.place)
		if err != nil {
			next = min(next, portalocker.DefaultCheckInterval)
		}
		check.Reset(next)
	idle:
		for {
			select {
			case fence := <-w.granted:
				return a.hold(s, w, fence)
			case <-w.front:
				check.Reset(a.untilCheck(0))
			case <-w.look:
				break idle
			case <-check.C:
				break idle
			case <-s.done:
				return nil, errOver
			case <-a.ctx.Done():
				return nil, cause.Of(a.ctx)
			case <-a.client.done:
				return nil, ErrClosed
			case <-a.expired:
				return nil, portalocker.ErrAlreadyLocked
			}
		}
	}
}

// front is how many waiters, from the head of the queue on, check at every interval;
// FRONT in scripts/queue.lua, which tells the others when they get there.
const front = 8

// untilCheck is how long a waiter leaves the server in peace: at the front of the
// queue the check interval, behind that in proportion to the place, up to the TTL
// of a lease.
func (a *attempt) untilCheck(place int) time.Duration {
	d := a.checkInterval
	if place >= front {
		limit := max(a.client.settings.ttl, d)
		d = time.Duration(min(float64(limit), float64(d)*float64(place))) // the product may be beyond what a Duration holds
	}
	// Who asks refreshes the queue, too, which would be forgotten.
	d = min(d, forgetAfter*time.Second/4)
	return d - rand.N(d/5+1)
}

// withdraw sees to it that nothing of a failed request stays on the server.
func (a *attempt) withdraw(s *session, w *waiter, err error) {
	if !w.entered.Load() && (errors.Is(err, portalocker.ErrAlreadyLocked) || errors.Is(err, ErrForeignPeers)) {
		s.leave(w.holder) // the server has said that there is nothing
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if owner := s.takeBack(ctx, a.keys, w); owner != "" {
		a.owner = owner
	}
}

// ask runs the acquire script. If the context ends first, or the time is up, it does
// not wait for the answer.
func (a *attempt) ask(s *session, w *waiter) (answer, error) {
	if err := a.turn(s); err != nil {
		return answer{}, err
	}
	limit := a.client.conn.Answer()
	if !a.answered && !a.end.IsZero() {
		limit = min(limit, max(time.Until(a.end), time.Millisecond))
	}
	mode := "wait"
	if a.onlyOnce() {
		mode = "try"
	}
	run := func() (answer, error) {
		defer a.client.conn.EndTurn()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), limit)
		defer cancel()
		reply, err := acquireScript().Run(ctx, a.client.conn, a.keys,
			s.place, w.holder, s.key, a.request(s), mode, a.name).Slice()
		if err != nil {
			if !redisconn.Final(err) {
				w.entered.Store(true)
				w.uncertain.Store(true)
			}
			return answer{}, a.client.conn.Explain(err)
		}
		said, err := parseAnswer(reply)
		if err != nil || said.state == "granted" || said.state == "waiting" {
			w.entered.Store(true)
		}
		return said, err
	}
	// The first answer is needed, so that the limit is enough there.
	if a.ctx.Done() == nil && (!a.answered || a.expired == nil) {
		return run()
	}
	type result struct {
		answer
		error
	}
	came := make(chan result, 1)
	w.asking.Add(1)
	if !s.spawn(func() {
		defer w.asking.Done()
		said, err := run()
		came <- result{said, err}
	}) {
		w.asking.Done()
		a.client.conn.EndTurn()
		return answer{}, errOver
	}
	select {
	case r := <-came:
		return r.answer, r.error
	case <-a.ctx.Done():
		return answer{}, cause.Of(a.ctx)
	case <-a.expired:
		return answer{}, errNoAnswer
	}
}

// turn waits until there is a connection to ask by: thousands may want one.
func (a *attempt) turn(s *session) error {
	select {
	case a.client.conn.Turn() <- struct{}{}:
		return nil
	case <-s.done:
		return errOver
	case <-a.ctx.Done():
		return cause.Of(a.ctx)
	case <-a.client.done:
		return ErrClosed
	case <-a.expired:
		return errNoAnswer
	}
}

// hold makes the lease.
func (a *attempt) hold(s *session, w *waiter, fence int64) (*Lease, error) {
	l := newLease(a.ctx, a.mutex, s, w, fence)
	if err := s.hold(w, l); err != nil {
		return nil, err
	}
	if s.check() != nil {
		return nil, errOver
	}
	if a.client.settings.replicas == 0 {
		return l, nil
	}
	a.answered = false // it is not somebody else's any more
	err := a.turn(s)   // or those that wait for replicas would keep leases from being renewed
	if err == nil {
		acked := make(chan error, 1)
		if !s.spawn(func() {
			defer a.client.conn.EndTurn()
			acked <- a.replicated(s, w.holder)
		}) {
			a.client.conn.EndTurn()
			return nil, errOver
		}
		select {
		case err = <-acked:
		case <-s.done:
		case <-a.client.done:
		case <-a.ctx.Done():
			err = cause.Of(a.ctx)
		}
	}
	switch { // these end the connection on which the replicas are waited for, too
	case a.client.isClosed():
		err = ErrClosed
	case s.check() != nil:
		return nil, errOver
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), grace)
		defer cancel()
		_ = l.Release(ctx) // what it would say is less than err
		return nil, err
	}
	return l, nil
}

// replicated waits until as many replicas as the user wants have the grant. WAIT
// counts those that have the writes of its own connection, so that begins with one:
// replicas get them in order, and the grant was before it.
func (a *attempt) replicated(s *session, holder string) error {
	settings := &a.client.settings
	ctx := context.WithoutCancel(a.ctx)
	node, err := a.client.conn.Node(ctx, a.keys[0])
	if err != nil {
		return a.client.conn.Explain(err)
	}
	conn := node.Conn()
	defer func() { _ = conn.Close() }()
	if err := conn.Expire(ctx, a.keys[0], forgetAfter*time.Second).Err(); err != nil {
		return a.client.conn.Explain(err)
	}
	// After a failover this may be another server than the one that gave the lock.
	known, err := conn.HExists(ctx, a.keys[0], holder).Result()
	if err != nil {
		return a.client.conn.Explain(err)
	}
	if !known {
		return fmt.Errorf("%w: %s has no record of the grant, so it was given back: is it a new master?", ErrUnavailable, a.client.conn.Address())
	}
	var n int64
	// By bits: a WAIT that is under way cannot be called off, and keeps its connection.
	for began := time.Now(); ; {
		left := settings.ackLimit - time.Since(began)
		n, err = conn.Wait(ctx, settings.replicas, max(min(left, grace), time.Millisecond)).Result() // 0 ms would be for ever
		if err != nil {
			return a.client.conn.Explain(err)
		}
		if int(n) >= settings.replicas || left <= grace || a.ctx.Err() != nil || s.check() != nil {
			break
		}
	}
	if int(n) < settings.replicas {
		return fmt.Errorf("%w: %d of the %d replicas that WithReplicaAck wants had the lock within %v, so it was given back; look at INFO replication of %s",
			ErrUnavailable, n, settings.replicas, settings.ackLimit, a.client.conn.Address())
	}
	return nil
}

// pause waits between two sessions.
func (a *attempt) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return a.over()
	case <-a.ctx.Done():
		return cause.Of(a.ctx)
	case <-a.client.done:
		return ErrClosed
	case <-a.expired:
		return errNoAnswer
	}
}

// over is why the attempt must end, nil while it may go on.
func (a *attempt) over() error {
	switch {
	case a.ctx.Err() != nil:
		return cause.Of(a.ctx)
	case !a.end.IsZero() && !time.Now().Before(a.end):
		return errNoAnswer
	}
	return nil
}

// errNoAnswer says that the time is up before the server has said anything.
var errNoAnswer = errors.New("the time is up")

// failed makes the error of Acquire.
func (a *attempt) failed(err error) error {
	e := &portalocker.LockError{Op: "acquire", Path: a.name, Err: err}
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrForeignPeers) {
		return e
	}
	locked := errors.Is(err, portalocker.ErrAlreadyLocked)
	timeUp := errors.Is(err, errNoAnswer) || a.ctx.Err() != nil
	switch {
	case (locked || timeUp) && a.trouble != nil: // so it is not known whether it is locked
		e.Err = a.trouble
	case locked, errors.Is(err, ErrUnavailable):
	case timeUp && a.answered:
		e.Err = portalocker.ErrAlreadyLocked
	case timeUp:
		e.Err = fmt.Errorf("%w: %s has not answered yet", ErrUnavailable, a.client.conn.Address())
	}
	if !a.onlyOnce() {
		e.Waited = time.Since(a.began)
	}
	if a.ctx.Err() != nil {
		e.Cause = cause.Of(a.ctx)
	}
	if o, ok := parseEntry(a.owner); ok && errors.Is(e.Err, portalocker.ErrAlreadyLocked) {
		if e.HolderPID = o.PID; o.Host != a.client.host {
			e.HolderHost = o.Host
		}
	}
	return e
}

// parseAnswer reads the reply of the acquire script.
func parseAnswer(reply []any) (answer, error) {
	var said answer
	var err error
	fields := make([]string, 2)
	for i := range min(len(reply), 2) {
		fields[i] = fmt.Sprint(reply[i])
	}
	switch said.state = fields[0]; said.state {
	case "granted":
		said.fence, err = strconv.ParseInt(fields[1], 10, 64)
	case "waiting":
		said.place, err = strconv.Atoi(fields[1])
	case "locked":
		said.owner = fields[1]
	case "foreign":
		said.foreign, err = strconv.ParseInt(fields[1], 10, 64)
	case "over", "withdrawn":
	default:
		err = errors.New("unknown")
	}
	if err != nil {
		return said, fmt.Errorf("%w: %q", errNonsense, strings.Join(fields, " "))
	}
	return said, nil
}
