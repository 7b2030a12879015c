package pywire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker/internal/redisconn"
)

// recount is how often a probe that waits for answers looks whether somebody has gone.
const recount = 50 * time.Millisecond

// view is what a participant has seen of the channel at one moment.
type view struct {
	decided bool    // everybody has answered
	others  []reply // who has, besides this one
	silent  int     // how many have not, if that is why nothing is decided
}

// look sees who is on the channel.
func (p *participant) look(ctx context.Context) (view, error) {
	n, err := p.count(ctx)
	if err != nil {
		return view{}, err
	}
	if n != 1 {
		return p.probe(ctx)
	}
	if err := p.prove(ctx); err != nil { // or the one counted was somebody else
		return view{}, err
	}
	return view{decided: true}, nil
}

// count is how many are subscribed to the channel.
func (p *participant) count(ctx context.Context) (int64, error) {
	n, err := p.link.PubSubNumSub(ctx, p.channel).Result()
	return n[p.channel], err
}

// probe pings everybody on the channel, this one too, and collects the answers.
//
// Who is subscribed is counted in the same transaction as the ping is sent, so the
// count is of those who got it, and when as many have answered the view is complete:
// who came later has seen this one here.
func (p *participant) probe(ctx context.Context) (view, error) {
	response := p.channel + "-" + newID()
	box, err := openMailbox(ctx, p.link, response, p.channel+"-probe-"+newID())
	if err != nil {
		return view{}, err
	}
	defer box.close()
	expected, err := p.send(ctx, response)
	if err != nil {
		return view{}, err
	}
	if err := p.collect(ctx, box, expected); err != nil {
		return view{}, err
	}
	v := view{decided: box.distinct() >= expected && box.has(p.id), silent: expected - box.distinct()}
	if v.decided {
		v.others = box.others(p.id)
	}
	p.logger.Debug("pywire: sees", "channel", p.channel, "id", p.id, "on", response, "expected", expected, "decided", v.decided, "others", v.others)
	if v.decided {
		return v, nil
	}
	current, err := p.count(ctx)
	if err != nil || int(current) != expected {
		v.silent = 0
		return v, err
	}
	return v, p.reap(ctx, box)
}

// send publishes the ping, and says how many got it.
func (p *participant) send(ctx context.Context, response string) (int, error) {
	var subscribers *redis.MapStringIntCmd
	cmds, err := p.link.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		subscribers = tx.PubSubNumSub(ctx, p.channel)
		tx.Publish(ctx, p.channel, pingText(response))
		return nil
	})
	if err != nil {
		return 0, refusalOf(cmds, err)
	}
	return int(subscribers.Val()[p.channel]), nil
}

// refusalOf is why a transaction failed. Its own error says only that it was aborted,
// where the server has refused one of its commands and said to that one why.
func refusalOf(cmds []redis.Cmder, err error) error {
	for _, cmd := range cmds {
		if refusal := cmd.Err(); refusal != nil && redis.IsExecAbortError(err) && !redis.IsExecAbortError(refusal) {
			return refusal
		}
	}
	return err
}

// collect reads answers until there are enough, until the time is up, or until there
// cannot be enough any more because somebody has gone.
func (p *participant) collect(ctx context.Context, box *mailbox, expected int) error {
	deadline := time.NewTimer(p.limit)
	defer deadline.Stop()
	again := time.NewTicker(recount)
	defer again.Stop()
	for {
		if box.distinct() >= expected {
			return nil
		}
		select {
		case <-box.news:
		case <-deadline.C:
			return nil
		case <-again.C:
			if n, err := p.count(ctx); err != nil || int(n) < expected {
				return err
			}
		case <-box.ended:
			return box.err
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mailbox is the response channel of one probe.
type mailbox struct {
	sub   *redisconn.Subscription
	name  string        // of its connection
	news  chan struct{} // gets an element when an answer has come; holds one at most
	ended chan struct{} // closed when nothing more can come
	err   error         // why
	tasks sync.WaitGroup

	mu     sync.Mutex
	known  map[string]reply // by id
	legacy int              // how many others have answered
}

func openMailbox(ctx context.Context, l *link, channel, name string) (*mailbox, error) {
	sub, err := l.Subscribe(ctx, name, channel)
	if err != nil {
		return nil, err
	}
	b := &mailbox{sub: sub, name: name, news: make(chan struct{}, 1), ended: make(chan struct{}), known: map[string]reply{}}
	b.tasks.Go(b.listen)
	return b, nil
}

func (b *mailbox) listen() {
	defer close(b.ended)
	for {
		payload, pong, err := b.sub.Receive()
		if err != nil {
			b.err = err
			return
		}
		if pong {
			continue
		}
		b.put(parseReply(payload))
		select {
		case b.news <- struct{}{}:
		default:
		}
	}
}

// put counts an answer. One who answers twice is one, and is what excludes more.
func (b *mailbox) put(r reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, twice := b.known[r.id]
	switch {
	case r.legacy:
		b.legacy++
	case twice && (old.mode == exclusive || r.mode == shared):
	default:
		b.known[r.id] = r
	}
}

func (b *mailbox) distinct() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.known) + b.legacy
}

func (b *mailbox) has(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.known[id]
	return ok
}

func (b *mailbox) hasLegacy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.legacy > 0
}

// others are the answers of all but one.
func (b *mailbox) others(me string) []reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	var others []reply
	for id, r := range b.known {
		if id != me {
			others = append(others, r)
		}
	}
	for range b.legacy {
		others = append(others, reply{mode: exclusive, legacy: true})
	}
	return others
}

func (b *mailbox) close() {
	_ = b.sub.Close()
	b.tasks.Wait()
}

// newID is 32 random lower-case hexadecimal digits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails, since Go 1.24
	return hex.EncodeToString(b[:])
}
