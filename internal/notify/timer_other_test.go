//go:build !linux

package notify_test

import (
	"errors"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/notify"
)

// TestNoEvents: where no event tells of a close, a waiter is told so.
func TestNoEvents(t *testing.T) {
	opener(t, newFile(t).Name()).Close()
	w, err := notify.New(newFile(t))
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v is not %v", err, errors.ErrUnsupported)
	}
	if w.Wait(t.Context(), time.Now()) {
		t.Error("a watch that does not exist hints")
	}
	w.Close()
	if _, err := notify.NewPaths([]string{"path"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v is not %v", err, errors.ErrUnsupported)
	}
	b, err := notify.HangBell("name")
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v is not %v", err, errors.ErrUnsupported)
	}
	if b.Rung() != nil {
		t.Error("a bell that does not exist may ring")
	}
	b.Close()
	notify.Ring("name")
}
