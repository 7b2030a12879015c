package main

import (
	"context"
	"os"
	"os/signal"
)

// signals are those of this program from before the wait for the lock to the end of
// the command: none between the two is lost. The zero value catches none.
type signals struct{ c chan os.Signal }

// catchSignals leaves alone what was ignored when this program began (nohup does
// so): it would not be ignored any more.
func catchSignals() *signals {
	keepIgnored()
	survivePipes()
	// More than can arrive while nobody reads, which is for moments only: the
	// system itself keeps no more than one of each kind.
	s := &signals{make(chan os.Signal, 64)}
	for _, sig := range caught {
		if !signal.Ignored(sig) {
			signal.Notify(s.c, sig)
		}
	}
	return s
}

// cancelling calls wait with a context that ends with a signal, and gives that
// signal; nil if none came.
func (s *signals) cancelling(ctx context.Context, wait func(context.Context) error) (os.Signal, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over, result := make(chan struct{}), make(chan os.Signal)
	go func() {
		var sig os.Signal
		select {
		case sig = <-s.c:
			cancel(stopped{sig})
		case <-over:
			sig = s.next() // it may have been as quick
		}
		result <- sig
	}()
	err := wait(ctx)
	close(over)
	return <-result, err
}

// next is a signal that has come already, or nil.
func (s *signals) next() os.Signal {
	select {
	case sig := <-s.c:
		return sig
	default:
		return nil
	}
}

// stop lets signals do what they do by default. Those that came before are still to
// be had by next.
func (s *signals) stop() { signal.Stop(s.c) }
