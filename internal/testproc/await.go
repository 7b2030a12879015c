package testproc

import (
	"errors"
	"testing"
	"time"
)

// Await asks until something is so, every few milliseconds, and fails the test where it
// never is; what is the thing in words.
//
// It is for what another process, or a server, is about to do, and for which there is
// nothing to wait on but to look again. What comes by a channel, or as a line of a
// Process, is better waited for there. The limit is far longer than anything takes, so
// that only a hang meets it. As t.Fatal, it belongs into the goroutine of the test.
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	AwaitNil(t, what, func() error {
		if so() {
			return nil
		}
		return errNotSo
	})
}

var errNotSo = errors.New("it is not so")

// AwaitNil is Await for a question that can tell what is still wrong: it asks until
// that is nil, and a test that fails says the last of it.
func AwaitNil(t testing.TB, what string, check func() error) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("never: %s: %v", what, err)
		}
	}
}
