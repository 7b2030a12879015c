package redisconn

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Subscription is a connection of its own, subscribed to one channel, which ends
// with the first error.
type Subscription struct {
	client *redis.Client
	pubsub *redis.PubSub
}

// Subscribe connects, names the connection for CLIENT LIST, and subscribes to
// channel, in a cluster as a sharded channel. When it returns, the server has
// confirmed the subscription.
func (c *Conn) Subscribe(ctx context.Context, name, channel string) (*Subscription, error) {
	node, err := c.Node(ctx, channel)
	if err != nil {
		return nil, err
	}
	opts := *node.Options()
	opts.ClientName = name
	opts.Dialer = dialOnce(opts.Dialer)
	s := &Subscription{client: redis.NewClient(&opts)}
	// Without a channel this does not connect yet: it would keep an error to itself.
	s.pubsub = s.client.Subscribe(ctx)
	kind := "subscribe"
	if c.Cluster() {
		kind = "ssubscribe"
		err = s.pubsub.SSubscribe(ctx, channel)
	} else {
		err = s.pubsub.Subscribe(ctx, channel)
	}
	if err == nil {
		err = s.confirm(ctx, kind, c.answer)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Subscription) confirm(ctx context.Context, kind string, answer time.Duration) error {
	if end, ok := ctx.Deadline(); ok {
		answer = min(answer, time.Until(end))
	}
	msg, err := s.pubsub.ReceiveTimeout(ctx, max(answer, time.Millisecond))
	if err != nil {
		return err
	}
	if m, ok := msg.(*redis.Subscription); !ok || m.Kind != kind {
		return fmt.Errorf("the answer to %s was %v", kind, msg)
	}
	return nil
}

// Receive waits for the next message, or for the answer to a Ping, which has pong
// set. An error is the end of the subscription; also Close from another goroutine
// ends it. Only one goroutine may call it.
func (s *Subscription) Receive() (payload string, pong bool, err error) {
	msg, err := s.pubsub.ReceiveTimeout(context.Background(), 0)
	if err != nil {
		return "", false, err
	}
	switch msg := msg.(type) {
	case *redis.Message:
		return msg.Payload, false, nil
	case *redis.Pong:
		return msg.Payload, true, nil
	default:
		return "", false, fmt.Errorf("the server ended the subscription: %v", msg)
	}
}

// Ping asks for a sign of life, which Receive gives.
func (s *Subscription) Ping(ctx context.Context) error { return s.pubsub.Ping(ctx) }

// Close ends the subscription by closing its connection.
func (s *Subscription) Close() error {
	_ = s.pubsub.Close()
	return s.client.Close()
}
