//go:build !linux

package notify

import (
	"context"
	"errors"
	"os"
	"time"
)

// Watch is one waiter's interest in files; there are none here, where
// no event tells of a close, so that waiters go by their timers alone.
type Watch struct{}

// New always fails.
func New(*os.File) (*Watch, error) { return nil, errors.ErrUnsupported }

// NewPaths always fails.
func NewPaths([]string) (*Watch, error) { return nil, errors.ErrUnsupported }

// Fired gives nothing.
func (*Watch) Fired() (files []int, all bool) { return nil, false }

// Wait is never called, as there are no watches.
func (*Watch) Wait(context.Context, time.Time) (hinted bool) { return false }

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
