//go:build !unix

package redistest_test

import (
	"errors"
	"io"
)

// isReset accepts any end that is not an orderly one: its number differs.
func isReset(err error) bool { return err != nil && !errors.Is(err, io.EOF) }
