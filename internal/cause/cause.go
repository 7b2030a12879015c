// Package cause tells why a context ended.
package cause

import (
	"context"
	"errors"
	"fmt"
)

// Of is the error of a context that has ended and, where that says more, its cause;
// nil while it has not.
func Of(ctx context.Context) error {
	err, why := ctx.Err(), context.Cause(ctx)
	if errors.Is(why, err) {
		return why
	}
	return fmt.Errorf("%w: %w", err, why)
}
