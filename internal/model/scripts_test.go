package model

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

var scriptsDesigned = scriptRules{
	front: 8, asksAlive: true, reaps: true, queues: true, tellsGrant: true, tellsFront: true, dropsOwner: true,
	bars: true, handsOn: true, fenceGrows: true, renewsALive: true,
}

// realScripts are those of redislock, on a server in this process.
type realScripts struct {
	mini    *miniredis.Miniredis
	rdb     *redis.Client
	subs    [maxSessions]*listener
	scripts map[string]*redis.Script
	keys    []string
	*scriptRules
}

func newRealScripts(t *testing.T) *realScripts {
	mini := miniredis.RunT(t)
	r := &realScripts{
		mini: mini, rdb: redis.NewClient(&redis.Options{Addr: mini.Addr()}), scripts: map[string]*redis.Script{},
		keys: []string{"{x}:owners", "{x}:queue", "{x}:waiters", "{x}:fence"},
	}
	t.Cleanup(func() { _ = r.rdb.Close() })
	for i := range r.subs {
		r.subs[i] = listen(t, mini, i)
	}
	source := func(name string) string {
		text, err := os.ReadFile("../../redislock/scripts/" + name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// The front is as narrow as the queue of the test is short.
	queue := strings.Replace(source("queue"), "local FRONT = 8\n", "local FRONT = 2\n", 1)
	if queue == source("queue") {
		t.Fatal("queue.lua does not set FRONT as it did")
	}
	for name, quick := range map[string]string{"acquire": source("acquire_free"), "release": source("release_unwanted"), "cancel": "", "status": ""} {
		r.scripts[name] = redis.NewScript(strings.Join([]string{source("records"), quick, queue, source(name)}, "\n"))
	}
	r.scripts["renew"] = redis.NewScript(source("renew"))
	return r
}

func sessionName(session int) string { return "session:" + strconv.Itoa(session) }

// begin empties the server.
func (r *realScripts) begin() {
	for i := range r.subs {
		r.unsubscribe(i)
	}
	r.mini.FlushAll()
}

func (r *realScripts) subscribe(session int) {
	r.subs[session].Subscribe(sessionName(session))
	r.subs[session].on = true
}

func (r *realScripts) unsubscribe(session int) {
	r.subs[session].Unsubscribe(sessionName(session))
	r.subs[session].on = false
}

func (r *realScripts) liveness() string {
	if r.leaseOnly {
		return "lease"
	}
	return "connection"
}

func (r *realScripts) run(t *rapid.T, name string, keys []string, args ...any) any {
	reply, err := r.scripts[name].Run(context.Background(), r.rdb, keys, args...).Result()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return reply
}

func (r *realScripts) acquire(t *rapid.T, holder int, wait bool) []any {
	mode := map[uint8]string{exclusive: "exclusive", shared: "shared", permit: "permit"}[r.modes[holder]]
	request := fmt.Sprintf("%s %d %s 1 host", mode, r.limits[holder], sessionName(sessionOf(holder)))
	how := "try"
	if wait {
		how = "wait"
	}
	return r.run(t, "acquire", r.keys, "plain", holderName(holder), sessionName(sessionOf(holder)), request, how, "x").([]any)
}

func holderName(holder int) string { return "h" + strconv.Itoa(holder) }

func holderOf(name string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "h"))
	return n
}

// dump reads what the server knows, with fences as the numbers of their order.
func (r *realScripts) dump(t *rapid.T, fences map[string]uint8) (s server) {
	ctx := context.Background()
	for i := range maxSessions {
		if r.mini.Exists(sessionName(i)) {
			s.leases |= 1 << i
		}
		if r.subs[i].on {
			s.subs |= 1 << i
		}
	}
	for h := range maxHolders {
		if r.mini.Exists(sessionName(sessionOf(h)) + ":withdrawn:" + holderName(h)) {
			s.barred |= 1 << h
		}
	}
	owners, err := r.rdb.HGetAll(ctx, r.keys[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	for name, entry := range owners {
		fence, _, _ := strings.Cut(entry, " ")
		s.owners[holderOf(name)] = fences[fence]
	}
	queue, err := r.rdb.ZRange(ctx, r.keys[1], 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	waiters, err := r.rdb.HLen(ctx, r.keys[2]).Result()
	if err != nil || int(waiters) != len(queue) {
		t.Fatalf("%d are in the queue, and %d have entries; %v", len(queue), waiters, err)
	}
	for i, name := range queue {
		s.queue[i] = uint8(holderOf(name)) + 1
	}
	last, _ := r.mini.Get(r.keys[3])
	s.last = fences[last]
	return s
}

// messages gives what was published since the last time.
func (r *realScripts) messages(fences map[string]uint8) (said []string) {
	for i, sub := range r.subs {
		for _, m := range sub.take(r.mini) {
			fields := strings.Fields(m)
			if fields[0] == "granted" {
				fields[2] = strconv.Itoa(int(fences[fields[2]]))
			}
			said = append(said, fmt.Sprint(i, fields))
		}
	}
	return said
}

// listener is a session's subscription. The server waits until each message is read.
type listener struct {
	*miniredis.Subscriber
	on    bool
	mark  string // a channel of its own
	mu    sync.Mutex
	heard []string
}

func listen(t *testing.T, mini *miniredis.Miniredis, session int) *listener {
	l := &listener{Subscriber: mini.NewSubscriber(), mark: "mark:" + strconv.Itoa(session)}
	l.Subscribe(l.mark)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m := range l.Messages() {
			l.mu.Lock()
			if m.Channel != l.mark {
				l.heard = append(l.heard, m.Message)
			}
			l.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.Unsubscribe(l.mark)
		l.Unsubscribe(sessionName(session))
		l.Close()
		reading.Wait()
	})
	return l
}

// take gives what was heard since the last time. When the second mark has been
// read, what was read before the first is in heard.
func (l *listener) take(mini *miniredis.Miniredis) []string {
	mini.Publish(l.mark, "")
	mini.Publish(l.mark, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

// TestScriptsAgree runs the same random operations on the real scripts and on the
// model of them: they must give the same answers, publish the same and end in the
// same state, each time.
func TestScriptsAgree(t *testing.T) {
	r := newRealScripts(t)
	operations := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := scriptsDesigned
		rules.front = 2
		rules.leaseOnly = rapid.Bool().Draw(t, "lives by the lease alone")
		semaphore := rapid.Bool().Draw(t, "semaphore")
		for h := range rules.modes {
			rules.modes[h] = rapid.SampledFrom([]uint8{exclusive, shared}).Draw(t, "mode")
			if semaphore {
				rules.modes[h], rules.limits[h] = permit, 2
			}
		}
		r.scriptRules = &rules
		r.begin()
		c := conformance{T: t, real: r, model: script{scriptRules: &rules, server: &server{}}, fences: map[string]uint8{}}
		for i := range maxSessions {
			c.begin(i)
		}
		n := rapid.IntRange(10, 60).Draw(t, "operations")
		for range n {
			c.step()
			operations++
		}
	})
	t.Logf("%d operations", operations)
}

// conformance is one sequence of operations.
type conformance struct {
	*rapid.T
	real   *realScripts
	model  script
	fences map[string]uint8 // what the real ones are in the model
}

func (c *conformance) step() {
	var want []string
	c.model.grant = func(holder int, fence uint8) {
		if i := sessionOf(holder); c.model.subs&(1<<i) != 0 {
			want = append(want, fmt.Sprint(i, []string{"granted", holderName(holder), strconv.Itoa(int(fence))}))
		}
	}
	c.model.advance = func(holder int) {
		if i := sessionOf(holder); c.model.subs&(1<<i) != 0 {
			want = append(want, fmt.Sprint(i, []string{"front", holderName(holder)}))
		}
	}
	holder := rapid.IntRange(0, maxHolders-1).Draw(c.T, "holder")
	session := sessionOf(holder)
	switch rapid.SampledFrom([]string{
		"acquire", "acquire", "acquire", "acquire", "try", "withdraw", "release", "bar", "begin", "begin", "begin", "die", "expire", "renew", "status",
	}).Draw(c.T, "operation") {
	case "acquire":
		c.acquire(holder, true)
	case "try":
		c.acquire(holder, false)
	case "withdraw":
		c.real.run(c.T, "cancel", c.real.keys, "plain", holderName(holder), sessionName(session), 0)
		c.model.withdraw(holder, false)
	case "bar":
		c.real.run(c.T, "cancel", c.real.keys, "plain", holderName(holder), sessionName(session), 100000)
		c.model.withdraw(holder, true)
	case "release":
		held := c.real.run(c.T, "release", c.real.keys, "plain", holderName(holder), sessionName(session), 0).(int64) == 1
		if c.model.withdraw(holder, false) != held {
			c.Fatalf("release says %v", held)
		}
	case "begin":
		c.begin(session)
	case "die":
		c.real.unsubscribe(session)
		c.model.subs &^= 1 << session
	case "expire":
		c.real.mini.Del(sessionName(session))
		c.model.leases &^= 1 << session
	case "renew":
		reply := c.real.run(c.T, "renew", []string{sessionName(session)}, "plain", c.real.liveness(), 100000, 86400).([]any)
		if alive := c.model.renew(session); alive != (reply[0] == int64(1)) {
			c.Fatalf("renew says %v", reply)
		}
	case "status":
		c.real.run(c.T, "status", c.real.keys, "plain", 10, "x")
		c.model.status()
	}
	c.compare(want)
}

// begin gives a session a lease and a subscription.
func (c *conformance) begin(session int) {
	_ = c.real.mini.Set(sessionName(session), c.real.liveness())
	c.real.subscribe(session)
	c.model.leases |= 1 << session
	c.model.subs |= 1 << session
}

func (c *conformance) acquire(holder int, wait bool) {
	reply := c.real.acquire(c.T, holder, wait)
	said := c.model.acquire(holder, wait)
	name := map[uint8]string{
		saysGranted: "granted", saysWaiting: "waiting", saysLocked: "locked", saysOver: "over", saysWithdrawn: "withdrawn",
	}[said.state]
	if reply[0] != name {
		c.Fatalf("acquire for %d says %v, the model %v", holder, reply, said)
	}
	switch said.state {
	case saysGranted:
		c.learn()
		if got := c.fences[reply[1].(string)]; got != said.fence {
			c.Fatalf("acquire gives fence %v, which is number %d and not %d", reply[1], got, said.fence)
		}
	case saysWaiting:
		if reply[1].(int64) != int64(said.place) {
			c.Fatalf("acquire says %v, the model %v", reply, said)
		}
	}
}

// learn finds out which fences of the server are which of the model. They must
// have the same order.
func (c *conformance) learn() {
	owners, err := c.real.rdb.HGetAll(context.Background(), c.real.keys[0]).Result()
	if err != nil {
		c.Fatal(err)
	}
	for name, entry := range owners {
		text, _, _ := strings.Cut(entry, " ")
		want := c.model.owners[holderOf(name)]
		if want == 0 {
			c.Fatalf("%s owns the lock, in the model it does not", name)
		}
		if known, ok := c.fences[text]; ok && known != want {
			c.Fatalf("fence %s is number %d and %d", text, known, want)
		}
		c.fences[text] = want
	}
	for one, n := range c.fences {
		for other, m := range c.fences {
			if (len(one) < len(other) || len(one) == len(other) && one < other) != (n < m) {
				c.Fatalf("fences %s and %s are number %d and %d", one, other, n, m)
			}
		}
	}
}

func (c *conformance) compare(want []string) {
	c.learn()
	if got := c.real.dump(c.T, c.fences); got != *c.model.server {
		c.Fatalf("the server has %+v, the model %+v", got, *c.model.server)
	}
	count := map[string]int{}
	for _, m := range want {
		count[m]++
	}
	got := c.real.messages(c.fences)
	for _, m := range got {
		count[m]--
	}
	for _, n := range count {
		if n != 0 {
			c.Fatalf("published are %v, in the model %v", got, want)
		}
	}
}
