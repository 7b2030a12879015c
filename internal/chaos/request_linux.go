package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// request is how a lock is asked for.
type request struct {
	ctx     context.Context
	timeout time.Duration
	shared  bool
	random  *rand.Rand
}

// held is a lock that is held.
type held struct {
	release func() error
	fence   int64
	err     func() error  // whether it is still held; nil for those that cannot be lost
	longer  time.Duration // to hold it longer, for -break
}

// end is when the time of a request is up by itself.
func (how request) end() time.Time {
	end := time.Now().Add(longestWait + patience) // for those that try once, no time
	if how.timeout > 0 {
		end = time.Now().Add(how.timeout)
	}
	if at, ok := how.ctx.Deadline(); ok && at.Before(end) {
		return at
	}
	return end
}

// turn is one request, and what follows.
func (w *worker) turn(k *kind, r *rand.Rand) {
	how := request{ctx: context.Background(), random: r, shared: (k.readers || k.free) && r.IntN(3) > 0}
	switch n := r.IntN(100); {
	case n < 15: // one try
	case n < 45:
		how.timeout = time.Duration(1+r.IntN(50)) * time.Millisecond
	case n < 75:
		how.timeout = time.Duration(200+r.IntN(1800)) * time.Millisecond
	default:
		how.timeout = longestWait
	}
	if r.IntN(4) == 0 {
		var cancel context.CancelFunc
		how.ctx, cancel = context.WithTimeout(how.ctx, time.Duration(r.IntN(60_000))*time.Microsecond)
		defer cancel()
	}
	w.request(k, how, holdFor(k, r))
}

// holdFor is short mostly, and sometimes so long that others have to sleep, and that a
// lease can be lost.
func holdFor(k *kind, r *rand.Rand) time.Duration {
	switch n := r.IntN(100); {
	case n < 1 && k.liveness != "":
		return time.Duration(r.Int64N(int64(2 * ttl)))
	case n < 2:
		return time.Duration(r.IntN(400)) * time.Millisecond
	case n < 12:
		return time.Duration(r.IntN(60)) * time.Millisecond
	}
	return time.Duration(r.IntN(3_000)) * time.Microsecond
}

// request asks for a lock, holds it and releases it. It says whether it had the lock.
func (w *worker) request(k *kind, how request, hold time.Duration) bool {
	w.mu.Lock()
	w.next++
	op := w.next
	w.mu.Unlock()
	e := event{kind: asked, op: op, lock: k.name, mode: "exclusive"}
	switch {
	case k.permits > 0:
		e.mode = "permit"
	case how.shared:
		e.mode = "shared"
	}
	if how.timeout == 0 {
		e.text = "once"
	}
	w.recorder.add(e)
	if w.doomed.CompareAndSwap(true, false) {
		go w.die(time.Duration(rand.IntN(1_500)) * time.Microsecond)
	}
	end := how.end()
	w.breakBefore(k, how)
	h, err := k.acquire(w, k, how)
	err = w.breakAfter(k, &h, err)
	e.at, e.text, e.fence = clock(), "", h.fence
	switch {
	case err == nil:
		e.kind = granted
		w.recorder.add(e)
		w.hold(e, h, hold)
		return true
	case errors.Is(err, portalocker.ErrAlreadyLocked),
		how.ctx.Err() != nil && errors.Is(err, how.ctx.Err()): // it had ended before anybody was asked
		e.kind = refused
	default:
		class := classOf(err)
		if class == unavailable && !time.Now().Before(end) {
			class = impatient
		}
		e.kind, e.text = failed, class+" "+err.Error()
	}
	w.recorder.add(e)
	return false
}

// hold holds a lock, looks whether it is still held if that can be asked, and releases
// it.
func (w *worker) hold(e event, h held, hold time.Duration) {
	e.at, e.text = 0, ""
	end := time.Now().Add(hold + h.longer)
	for h.err != nil && time.Now().Before(end) {
		at := clock()
		if err := h.err(); err != nil {
			e.kind, e.text = lost, err.Error()
			w.recorder.add(e)
			break
		}
		w.recorder.add(event{at: at, kind: believed, op: e.op, lock: e.lock, mode: e.mode, fence: e.fence})
		time.Sleep(min(3*time.Millisecond, time.Until(end)))
	}
	time.Sleep(time.Until(end))
	if e.kind != lost {
		w.recorder.add(event{kind: releasing, op: e.op, lock: e.lock, mode: e.mode, fence: e.fence})
	}
	err := h.release()
	gone := errors.Is(err, redislock.ErrLost)
	if gone && e.kind != lost {
		e.kind, e.text = lost, err.Error()
		w.recorder.add(e)
	}
	e.kind, e.text = released, ""
	if err != nil {
		e.text = classOf(err) + " " + err.Error()
	}
	w.recorder.add(e)
}
