// Package leased runs functions under locks that can be lost.
package leased

import (
	"context"
	"fmt"
)

// Lease is a lock that is held.
type Lease interface {
	Release(ctx context.Context) error

	// Context ends when the lock is lost or released.
	Context() context.Context
}

// Do runs fn with a context that ends with ctx and with the lease, and then releases
// the lease, also when fn panics. It returns the errors of both, joined.
func Do(ctx context.Context, l Lease, fn func(ctx context.Context) error) (err error) {
	defer func() {
		released := l.Release(context.WithoutCancel(ctx))
		switch {
		case released == nil:
		case err == nil:
			err = released
		default:
			err = fmt.Errorf("%w; %w", err, released)
		}
	}()
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.Context(), func() { cancel(context.Cause(l.Context())) })()
	return fn(inner)
}
