package redislock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/redislock"
)

// TestHostileNames: a holder may call its lock and its machine what it likes. Programs
// get those names as they are, and messages have them in quotes.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const name, host = "\x1b[31m}\n{x}:owners", "\x1b]0;host\a\n"
	s := redistest.Start(t)
	key := "portalocker:{%1B[31m%7D%0A%7Bx%7D:owners}:owners"
	key = strings.ReplaceAll(key, "[", "%5B")
	s.Do("SET", "portalocker:session:evil", "lease")
	s.Do("HSET", key, "evil", "5 7 exclusive 1 portalocker:session:evil 666 %1B]0;host%07%0A")
	c := newClientOf(t, s.Client())
	all, err := c.List(t.Context())
	must(t, err)
	if len(all) != 1 || all[0].Name != name || len(all[0].Owners) != 1 || all[0].Owners[0].Host != host || all[0].Owners[0].PID != 666 {
		t.Errorf("the list is %+v", all)
	}
	_, err = c.NewLock(name, redislock.WithTimeout(0)).Acquire(t.Context())
	if !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Fatalf("got %v", err)
	}
	isPlain(t, err)
	if e, _ := errors.AsType[*portalocker.LockError](err); e.HolderHost != host || e.HolderPID != 666 {
		t.Errorf("the error is %+v", e)
	}
}

// TestHostileRecords: what another user of the server has written over the records of a
// lock makes that lock useless, in time and with a message, and nothing worse.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	const alive = "portalocker:session:alive"
	for name, spoil := range map[string][][]any{
		"an owner of nonsense":   {{"HSET", "portalocker:{x}:owners", "h", "\x1b[31mnonsense\n"}},
		"a waiter of nonsense":   {{"ZADD", "portalocker:{x}:queue", "1", "h"}, {"HSET", "portalocker:{x}:waiters", "h", ""}},
		"a waiter without entry": {{"ZADD", "portalocker:{x}:queue", "1", "h"}},
		"a limit out of range":   {{"HSET", "portalocker:{x}:owners", "h", "1 2 permit 99999999999999999999 " + alive + " 3 host"}},
		"a PID out of range":     {{"HSET", "portalocker:{x}:owners", "h", "1 2 permit 2 " + alive + " 99999999999999999999 host"}},
		"a fence of nonsense":    {{"SET", "portalocker:{x}:fence", "\x1b[31m"}},
		"owners of another type": {{"SET", "portalocker:{x}:owners", "1"}},
		"a queue of its own":     {{"RPUSH", "portalocker:{x}:queue", "h"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			s.Do("SET", alive, "lease")
			for _, command := range spoil {
				s.Do(command...)
			}
			c := newClientOf(t, s.Client())
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for what, do := range map[string]func() error{
				"acquire": func() error {
					l, err := c.NewLock("x", redislock.WithTimeout(100*time.Millisecond)).Acquire(ctx)
					if err == nil {
						err = l.Release(ctx)
					}
					return err
				},
				"status": func() error { _, err := c.Status(ctx, "x"); return err },
				"list":   func() error { _, err := c.List(ctx); return err },
			} {
				err := do()
				t.Logf("%s: %v", what, err)
				if err != nil {
					isPlain(t, err)
				}
			}
			release(t, acquire(t, c.NewLock("another")))
			must(t, ctx.Err())
		})
	}
}

func isPlain(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not one line of plain text", err)
	}
}
