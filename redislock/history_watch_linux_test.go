package redislock_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// watch looks at what the server has, all the time, and checks what must be so
// between any two scripts, and from one look to the next. It changes nothing on the
// server: it has a script of its own, that only reads.
type watch struct {
	rdb *redis.Client
	v   *verdict

	mu    sync.Mutex      // held while a look is taken, and while the server's data change
	last  *look           // nil after the data have been lost
	loose map[string]bool // locks whose owners were removed by force

	looks      int
	dead       map[string]bool  // sessions, for good
	expired    map[string]int64 // sessions that ran out though connected: when that was seen
	fences     map[string]int64 // of each holder
	owned      map[string]int64 // when each holder was last seen to own its lock
	gone       map[string]bool  // holders that were seen to own or wait, and then not any more
	withdrawn  map[string]bool  // holders that are kept out
	deadOwners map[string]*deadOwner
}

// deadOwner is an exclusive owner that is dead and still has the lock.
type deadOwner struct {
	lock, holder string
	from, to     int64
}

func newWatch(rdb *redis.Client, v *verdict) *watch {
	return &watch{
		rdb: rdb, v: v, loose: map[string]bool{}, dead: map[string]bool{},
		expired: map[string]int64{}, fences: map[string]int64{}, owned: map[string]int64{}, gone: map[string]bool{}, withdrawn: map[string]bool{}, deadOwners: map[string]*deadOwner{},
	}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.look(ctx)
		timer := time.NewTimer(time.Millisecond + rand.N(6*time.Millisecond))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// look takes a look and checks it. It is nil if the server could not be asked.
func (w *watch) look(ctx context.Context) *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, err := w.take(ctx)
	if err != nil {
		return nil // it is stopped, or being started again
	}
	w.looks++
	w.alive(l)
	for _, name := range historyLocks {
		w.one(l, name)
		if w.last != nil {
			w.order(l, name)
		}
	}
	maps.Copy(w.withdrawn, l.withdrawn)
	for key, ttl := range l.expiry {
		if ttl < 0 {
			w.v.add("expiry", l.to, "the key %s never expires", key)
		}
	}
	w.last = l
	return l
}

// change runs a fault that changes the server's data; forget is true if it loses
// them all.
func (w *watch) change(forget bool, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
	if forget {
		w.last = nil
	}
}

// loosen allows that the lock is free though somebody waits, until it is not so any
// more. The caller has changed its owners by force, inside of change.
func (w *watch) loosen(lock string) {
	if w.last != nil {
		for holder := range w.last.locks[lock].owners {
			delete(w.fences, holder)
		}
	}
	w.loose[lock] = true
	w.last = nil
	clear(w.gone) // who does not know yet that it had the lock may ask again
}

// sessionOf is the living session of a process that owns something, "" if there is
// none.
func (w *watch) sessionOf(pid int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		return ""
	}
	for _, name := range historyLocks {
		for _, o := range w.last.locks[name].owners {
			if o.pid == pid && w.last.sessions[o.session].alive() {
				return o.session
			}
		}
	}
	return ""
}

// alive takes note of sessions that are dead, and checks that they stay so.
func (w *watch) alive(l *look) {
	for key, s := range l.sessions {
		if s.alive() && w.dead[key] {
			w.v.add("revived", l.to, "%s was dead, and lives again", key)
		}
		if s.subscribers > 0 {
			continue
		}
		if w.last != nil {
			if before, ok := w.last.sessions[key]; ok && before.subscribers == 0 && s.ttl > before.ttl {
				w.v.add("renewed", l.to, "%s was renewed without its connection: from %d ms to %d ms", key, before.ttl, s.ttl)
			}
		}
		w.dead[key] = true
	}
	for _, lock := range l.locks {
		for _, r := range []map[string]record{lock.owners, lock.waiters} {
			for _, one := range r {
				s := l.sessions[one.session]
				if s.ttl >= 0 {
					continue
				}
				w.dead[one.session] = true
				if _, seen := w.expired[one.session]; s.subscribers > 0 && !seen {
					w.expired[one.session] = l.to
				}
			}
		}
	}
}

// one checks a lock by itself.
func (w *watch) one(l *look, name string) {
	k := l.locks[name]
	modes := map[string]bool{}
	limit := 0
	for holder, o := range k.owners {
		modes[o.mode], limit = true, max(limit, o.limit)
		if slices.Contains(k.queue, holder) {
			w.v.add("queue", l.to, "%s owns %s, and waits for it", holder, name)
		}
		if o.fence > k.fence {
			w.v.add("fence", l.to, "%s owns %s with fence %d, the last is %d", holder, name, o.fence, k.fence)
		}
		if before, ok := w.fences[holder]; ok && before != o.fence {
			w.v.add("record", l.to, "the fence of %s changed from %d to %d", holder, before, o.fence)
		}
		w.fences[holder] = o.fence
		w.owned[holder] = l.from
		if l.withdrawn[holder] {
			w.v.add("withdrawn", l.to, "%s owns %s, and has withdrawn", holder, name)
		}
		if d := w.deadOwners[holder]; d != nil {
			d.to = l.from
		} else if o.mode == "exclusive" && w.dead[o.session] {
			w.deadOwners[holder] = &deadOwner{lock: name, holder: holder, from: l.to}
		}
	}
	if len(modes) > 1 || modes["exclusive"] && len(k.owners) > 1 || limit > 0 && len(k.owners) > limit {
		w.v.add("owners", l.to, "%s has the owners %v", name, k.owners)
	}
	for _, holder := range k.queue {
		if _, ok := k.waiters[holder]; !ok {
			w.v.add("queue", l.to, "%s waits for %s, and nothing is known of it", holder, name)
		}
		if l.withdrawn[holder] {
			w.v.add("withdrawn", l.to, "%s waits for %s, and has withdrawn", holder, name)
		}
	}
	for holder := range w.gone {
		if k.has(holder) {
			w.v.add("back", l.to, "%s is back at %s, and was gone", holder, name)
			delete(w.gone, holder)
		}
	}
	if len(k.waiters) > len(k.queue) {
		w.v.add("queue", l.to, "%s has %d records of %d waiters", name, len(k.waiters), len(k.queue))
	}
	w.idle(l, name)
}

// idle checks that the first of the queue is one who must wait: each script that
// makes room also gives it away.
func (w *watch) idle(l *look, name string) {
	k := l.locks[name]
	idle := false
	if len(k.queue) > 0 {
		r := k.waiters[k.queue[0]]
		idle = l.sessions[r.session].alive() && k.fits(r)
	}
	switch {
	case !idle:
		w.loose[name] = false
	case !w.loose[name]:
		w.v.add("idle", l.to, "%s waits for %s (%s), whose owners are %v", k.queue[0], name, k.waiters[k.queue[0]].mode, k.owners)
	}
}

// order checks what may happen from one look to the next: nobody passes one who
// waits, and nobody who is dead comes in.
func (w *watch) order(l *look, name string) {
	before, now := w.last.locks[name], l.locks[name]
	place := map[string]int{}
	for i, holder := range before.queue {
		place[holder] = i
	}
	// The first of those who waited at both looks.
	first := slices.IndexFunc(before.queue, func(holder string) bool { return slices.Contains(now.queue, holder) })
	for holder, o := range now.owners {
		if _, ok := before.owners[holder]; ok {
			continue
		}
		if p, waited := place[holder]; first >= 0 && (!waited || p > first) {
			w.v.add("order", l.to, "%s (%s) got %s before %s (%s), who waits", holder, o.mode, name, before.queue[first], before.waiters[before.queue[first]].mode)
		}
		if w.wasDead(o.session) {
			w.v.add("dead", l.to, "%s got %s, and its session is dead", holder, name)
		}
	}
	for _, records := range []map[string]record{before.owners, before.waiters} {
		for holder := range records {
			if !now.has(holder) {
				w.gone[holder] = true
			}
		}
	}
	last := -1
	for i, holder := range now.queue {
		p, waited := place[holder]
		switch {
		case waited && (p < last || i > 0 && !contains(place, now.queue[i-1])):
			w.v.add("order", l.to, "%s lost its place in the queue of %s", holder, name)
		case waited:
			last = p
		case w.wasDead(now.waiters[holder].session):
			w.v.add("dead", l.to, "%s queues for %s, and its session is dead", holder, name)
		}
	}
	if now.fence < before.fence {
		w.v.add("fence", l.to, "the last fence of %s went from %d to %d", name, before.fence, now.fence)
	}
}

// wasDead says whether a session was dead at the look before.
func (w *watch) wasDead(session string) bool {
	s, ok := w.last.sessions[session]
	return ok && !s.alive()
}

func contains(m map[string]int, key string) bool { _, ok := m[key]; return ok }
