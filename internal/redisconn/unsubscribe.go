package redisconn

import "context"

// Unsubscribe ends the subscription in good order: the server counts it no more as
// soon as Receive returns the error that says so. The connection is left for Close.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	return s.pubsub.Unsubscribe(ctx)
}
