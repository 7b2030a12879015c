//go:build !linux

package notify

import (
	"errors"
	"os"
)

// Watch is one waiter's interest in one open file; there are none here, where
// no event tells of a close, so that waiters go by their timers alone.
type Watch struct{}

// New always fails.
func New(*os.File) (*Watch, error) { return nil, errors.ErrUnsupported }

// Hints never receives.
func (*Watch) Hints() <-chan struct{} { return nil }

// Close does nothing.
func (*Watch) Close() {}

// Bell is something to wait for that another process can ring; there are none
// here.
type Bell struct{}

// HangBell always fails.
func HangBell(string) (*Bell, error) { return nil, errors.ErrUnsupported }

// Rung never receives.
func (*Bell) Rung() <-chan struct{} { return nil }

// Close does nothing.
func (*Bell) Close() {}

// Ring does nothing.
func Ring(...string) {}
