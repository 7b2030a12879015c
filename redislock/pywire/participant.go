package pywire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/portalocker/portalocker/internal/redisconn"
	"github.com/portalocker/portalocker/redislock"
)

const (
	// pings is how many pings a participant sends within the unavailable timeout.
	pings = 4

	// atOnce is how many pings of others it answers at the same time: where many wait,
	// many ask, and an answer takes a round trip.
	atOnce = 4
)

// participant is one subscription to the channel of the lock, and what it says of
// itself. It ends once: with its connection, or when the server has given no sign of
// life for the unavailable timeout. Nobody can have cut it off before, since whoever
// does that waits as long for an answer.
type participant struct {
	link    *link
	channel string
	id      string
	limit   time.Duration
	logger  *slog.Logger
	sub     *redisconn.Subscription

	// voice guards what the participant says of itself, until it has been said: an
	// answer holds it for reading. So no answer is sent that is older than a promotion.
	voice   sync.RWMutex
	mode    mode
	elected bool

	order sync.Mutex // held while a ping is sent, to keep pings in order

	mu    sync.Mutex
	pings []*ping // that have not been answered, in the order in which they were sent
	proof moment  // when the last one was sent that has been answered
	err   error   // why the participant has ended
	done  chan struct{}

	tasks sync.WaitGroup
}

// ping is one that was sent to the server on the subscription itself.
type ping struct {
	sent  moment
	heard chan struct{} // closed with the answer
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

// join subscribes to the channel. When it returns, the server has confirmed that, and
// counts the participant. It has a new id each time: if a connection of the time
// before is still counted, because the server does not know yet that it is closed,
// nobody takes the one's answers for the other's.
func join(ctx context.Context, l *link, channel string, s *settings) (*participant, error) {
	p := &participant{
		link: l, channel: channel, id: newID(), limit: s.unavailable, logger: s.logger,
		mode: s.mode(), proof: now(), done: make(chan struct{}),
	}
	var err error
	if p.sub, err = l.Subscribe(ctx, channel+"-lock-"+p.id, channel); err != nil {
		return nil, err
	}
	p.tasks.Go(p.listen)
	p.tasks.Go(p.keepAlive)
	return p, nil
}

// become changes what the participant says of itself.
func (p *participant) become(m mode, elected bool) {
	p.voice.Lock()
	defer p.voice.Unlock()
	p.mode, p.elected = m, elected
	p.logger.Debug("pywire: becomes", "channel", p.channel, "id", p.id, "mode", m, "elected", elected)
}

func (p *participant) isElected() bool {
	p.voice.RLock()
	defer p.voice.RUnlock()
	return p.elected
}

// listen answers pings until the subscription ends.
func (p *participant) listen() {
	answering := make(chan struct{}, atOnce)
	for {
		payload, pong, err := p.sub.Receive()
		switch {
		case err != nil:
			p.end(fmt.Errorf("%w: the connection broke: %w", redislock.ErrLost, p.link.Explain(err)))
			return
		case pong:
			p.heard()
		default:
			answering <- struct{}{}
			p.tasks.Go(func() {
				p.answer(payload)
				<-answering
			})
		}
	}
}

// answer answers a ping, and ignores everything else. (A ping that wants its answers
// on the channel of the lock itself is ignored too: a Python portalocker before 4.0
// breaks off when it reads something that is no ping there.)
func (p *participant) answer(payload string) {
	response, ok := parsePing(payload)
	if !ok || response == p.channel {
		return
	}
	ctx, cancel := context.WithTimeout(p.link.ctx, p.link.Answer())
	defer cancel()
	p.voice.RLock()
	defer p.voice.RUnlock()
	said := replyText(p.id, p.mode, p.elected)
	err := p.link.Publish(ctx, response, said).Err()
	if err != nil && !redisconn.Final(err) {
		// The pool may have had a connection that the server has closed as idle. To
		// answer twice does no harm.
		err = p.link.Publish(ctx, response, said).Err()
	}
	p.logger.Debug("pywire: answers", "channel", p.channel, "to", response, "reply", said, "error", err)
}

// heard takes the answer to a ping.
func (p *participant) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pings) > 0 {
		p.proof = p.pings[0].sent
		close(p.pings[0].heard)
		p.pings = p.pings[1:]
	}
}

// keepAlive asks for signs of life: of a link that is half open nothing else tells.
func (p *participant) keepAlive() {
	timer := time.NewTimer(p.limit / pings)
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-timer.C:
		}
		if p.check() != nil {
			return
		}
		p.mu.Lock()
		waiting, left := len(p.pings), p.limit-p.proof.since()
		p.mu.Unlock()
		if waiting < pings {
			_, _ = p.ping() // where it fails, listen hears of that
		}
		timer.Reset(max(min(p.limit/pings, left), time.Millisecond))
	}
}

// ping asks the server for a sign of life on the subscription.
func (p *participant) ping() (*ping, error) {
	p.order.Lock()
	defer p.order.Unlock()
	one := &ping{sent: now(), heard: make(chan struct{})}
	p.mu.Lock()
	p.pings = append(p.pings, one)
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.link.ctx, p.limit)
	defer cancel()
	return one, p.sub.Ping(ctx)
}

// prove returns when the server has shown that this subscription is alive. What was
// counted before has this one among it.
func (p *participant) prove(ctx context.Context) error {
	one, err := p.ping()
	if err != nil {
		return err
	}
	select {
	case <-one.heard:
		return nil
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check says whether the participant has ended, and ends it if the clocks say so. A
// process that was stopped learns it here, before any timer has run.
func (p *participant) check() error {
	p.mu.Lock()
	err, silence := p.err, p.proof.since()
	p.mu.Unlock()
	if err != nil || silence < p.limit {
		return err
	}
	p.end(fmt.Errorf("%w: no sign of life of the server at %s for %v", redislock.ErrLost, p.link.Address(), silence.Round(time.Millisecond)))
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// end ends the participant; only the first call has an effect.
func (p *participant) end(err error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = err
		close(p.done)
	}
	p.mu.Unlock()
	if first {
		_ = p.sub.Close()
	}
}

// errLeft is the end of a participant that has left.
var errLeft = errors.New("it has unsubscribed")

// leave unsubscribes, and waits until the server has confirmed it, so that nobody
// counts this one any more. The error says that the confirmation was not had; then
// the connection is closed, which does the same a little later.
func (p *participant) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.link.Answer())
	defer cancel()
	err := ctx.Err()
	if err == nil {
		err = p.sub.Unsubscribe(ctx)
	}
	if err == nil {
		select {
		case <-p.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.stop()
	return err
}

// stop ends the participant and waits for its goroutines.
func (p *participant) stop() {
	p.end(errLeft)
	p.tasks.Wait()
}
