package redislock_test

import (
	"context"
	"strings"
	"time"
)

// finish lets everything come to its end without faults. Nothing may be left, and
// everybody must get what is free.
func (r *round) finish() {
	if !r.tell("quiet", r.slots) || !r.nobodyIsLeft() || !r.tell("sweep", r.slots) {
		return
	}
	if !r.together("readers", r.slots) || !r.together("permits", r.slots[:permits]) {
		return
	}
	if !r.tell("relay", r.slots) || !r.tell("end", r.slots) {
		return
	}
	for _, s := range r.slots {
		if err := s.worker.Wait(); err != nil {
			r.v.add("process", clock(), "process %d ended with %v", s.process, err)
		}
	}
	l := r.watch.look(context.Background())
	if l == nil {
		r.v.add("left over", clock(), "the server does not answer")
		return
	}
	for _, name := range historyLocks {
		if k := l.locks[name]; len(k.owners)+len(k.queue)+len(k.waiters) > 0 {
			r.v.add("left over", l.to, "when all had ended %s had the owners %v, the queue %v, the waiters %v", name, k.owners, k.queue, k.waiters)
		}
	}
}

// tell tells processes to do something, and waits until they have.
func (r *round) tell(what string, slots []*slot) bool {
	for _, s := range slots {
		s.worker.Say("%s", what)
	}
	return r.hear("done", what, slots)
}

// hear waits for a word of each process. That it never comes is a finding.
func (r *round) hear(word, doing string, slots []*slot) bool {
	limit := time.NewTimer(r.hang)
	defer limit.Stop()
	for _, s := range slots {
		select {
		case line, ok := <-s.worker.Lines():
			if !ok || line != word {
				r.v.add("process", clock(), "process %d was to %s, and said %q", s.process, doing, line)
				return false
			}
		case <-limit.C:
			r.v.add("progress", clock(), "process %d was to %s, and hangs", s.process, doing)
			return false
		}
	}
	return true
}

// together has several hold a lock at the same time.
func (r *round) together(name string, slots []*slot) bool {
	what := "together " + name
	for _, s := range slots {
		s.worker.Say("%s", what)
	}
	if !r.hear("holding", what, slots) {
		return false
	}
	return r.tell("release", slots)
}

// nobodyIsLeft waits until the server has no living owner and no living waiter: all
// have released, or given up. What could not be given back at once is given back
// within little more than the TTL, or the session ends.
func (r *round) nobodyIsLeft() bool {
	for end := time.Now().Add(10 * r.ttl); ; time.Sleep(10 * time.Millisecond) {
		l := r.watch.look(context.Background())
		if l != nil && len(r.watch.living(l)) == 0 {
			return true
		}
		if time.Now().After(end) {
			v := "the server does not answer"
			if l != nil {
				v = strings.Join(r.watch.living(l), ", ")
			}
			r.v.add("ghost", clock(), "nobody wants a lock, and the server still has: %s", v)
			return false
		}
	}
}

// notIdle checks that the round has shown something.
func (r *round) notIdle() {
	for _, name := range historyLocks {
		n := 0
		for _, o := range r.all.operations {
			if o.lock == name && o.result == granted {
				n++
			}
		}
		if n == 0 {
			r.v.add("grants", clock(), "nobody ever got %s", name)
		}
	}
}
