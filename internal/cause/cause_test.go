package cause_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/portalocker/portalocker/internal/cause"
)

func TestOf(t *testing.T) {
	why := errors.New("why")
	more := fmt.Errorf("more: %w", context.Canceled)
	for _, test := range []struct {
		because error
		says    string
	}{
		{nil, "context canceled"},
		{why, "context canceled: why"},
		{more, "more: context canceled"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if err := cause.Of(ctx); err != nil {
			t.Errorf("%v before the end", err)
		}
		cancel(test.because)
		err := cause.Of(ctx)
		if err == nil || err.Error() != test.says || !errors.Is(err, context.Canceled) || test.because != nil && !errors.Is(err, test.because) {
			t.Errorf("%v, not %s", err, test.says)
		}
	}
}
