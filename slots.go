package portalocker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/oslock"
)

// slotSearch is one acquisition of a semaphore: a prize that any of its slots is.
// The acquisition's own file is the first slot's, where the processes queue, and
// which it does not lock.
type slotSearch struct {
	*acquisition
	slots    []target
	next     int            // where the next search begins
	opened   []*acquisition // of the slots, while this waits: to close a file is a hint for every waiter, this one too
	searched bool           // all slots have been tried since they are watched
	fired    []int          // those that the last hint came for
	replaced bool           // the path of an opened slot has another file now, which is not watched

	found int   // the slot that was had
	hold  *hold // and its hold
}

// tickSlots is how many slots a waiter tries when nothing but the clock has woken
// it: a safety net need not cost as much as a search of all.
const tickSlots = 32

// run finds a slot and takes it.
func (s *slotSearch) run(ctx context.Context) error {
	if s.onlyOnce() {
		err := s.try(len(s.slots))
		if refusedAccess(err) && s.worthReopening(ctx, err, 1) {
			err = s.try(len(s.slots))
		}
		if err == oslock.ErrLocked {
			return s.full(s.locked(nil))
		}
		return s.explain(ctx, err)
	}
	home := &s.acquisition.hold
	// A line of its own: that of the path is for those who want this one slot.
	home.place.enter(s.path+"\x00slots", s.mechanism, oslock.Shared, s.started)
	open, err := s.openFor(ctx, func(ctx context.Context) error { return s.await(ctx, s, home) })
	for _, one := range s.opened {
		if one != nil && &one.hold != s.hold {
			_ = one.hold.drop() // not locked, not written
		}
	}
	if !open {
		home.place.leave()
		return s.full(err)
	}
	err = s.explain(ctx, s.full(err))
	dropErr := home.drop()
	if err == nil && dropErr != nil {
		dropErr = join(dropErr, s.hold.drop())
	}
	return join(err, dropErr)
}

// full says of a semaphore what ErrAlreadyLocked says of a lock.
func (s *slotSearch) full(err error) error {
	if e := (*LockError)(nil); errors.As(err, &e) && e.Err == ErrAlreadyLocked && len(s.slots) > 1 {
		e.Err, e.HolderPID, e.HolderCommand = fmt.Errorf("all %d slots are taken: %w", len(s.slots), ErrAlreadyLocked), 0, ""
	}
	return err
}

func (s *slotSearch) watch() (*notify.Watch, error) {
	paths := make([]string, len(s.slots))
	for i := range s.slots {
		paths[i] = s.slots[i].path
	}
	s.searched = false
	return notify.NewPaths(paths)
}

// ask tries the slots that may be free. It has the wait begin anew where a slot was
// given another file, which nobody watches yet.
func (s *slotSearch) ask(w *waiter) error {
	err := s.askSlots(w)
	if err == oslock.ErrLocked && s.replaced {
		err = errReplaced
	}
	s.replaced = false
	return err
}

// askSlots tries those slots that a hint came for, all of them when it is not known
// which, and some after a while without a hint.
func (s *slotSearch) askSlots(w *waiter) error {
	if w.outside && s.opened == nil {
		s.opened = make([]*acquisition, len(s.slots))
	}
	if w.watch == nil {
		return s.try(len(s.slots))
	}
	fired, all := w.watch.Fired()
	if all || !s.searched || w.hinted && len(fired) == 0 {
		s.searched = true
		return s.try(len(s.slots))
	}
	if len(fired) > 0 {
		s.fired = fired
	}
	for _, i := range s.fired { // once more those of the last hint, which may have come too early
		if err := s.trySlot(i); err != oslock.ErrLocked {
			return err
		}
	}
	if w.hinted {
		return oslock.ErrLocked
	}
	return s.try(tickSlots)
}

// try tries n slots, from where the last search ended.
func (s *slotSearch) try(n int) error {
	for range min(n, len(s.slots)) {
		i := s.next
		s.next = (s.next + 1) % len(s.slots)
		if err := s.trySlot(i); err != oslock.ErrLocked {
			return err
		}
	}
	return oslock.ErrLocked
}

func (s *slotSearch) trySlot(i int) error {
	for replaced := 0; ; replaced++ {
		before := s.opened != nil && s.opened[i] != nil
		one, err := s.openSlot(i)
		if err != nil {
			return err
		}
		err = one.try(0)
		if err == nil {
			s.found, s.hold = i, &one.hold
			return nil
		}
		if err == oslock.ErrLocked && before && one.stillNamed() == errReplaced {
			err, s.replaced = errReplaced, true // whoever holds it holds no slot
		}
		if err == oslock.ErrLocked && s.opened != nil {
			s.opened[i] = one
			return err
		}
		if s.opened != nil {
			s.opened[i] = nil
		}
		if dropErr := one.hold.drop(); dropErr != nil {
			return join(err, dropErr)
		}
		if !errors.Is(err, errReplaced) || replaced >= replacedLimit {
			return err
		}
	}
}

// openSlot gives a slot as an acquisition of its own that has opened its file.
func (s *slotSearch) openSlot(i int) (*acquisition, error) {
	if s.opened != nil && s.opened[i] != nil {
		return s.opened[i], nil
	}
	one := &acquisition{target: &s.slots[i], settings: s.settings, known: &knowledge{}, access: s.access, started: s.started, waited: s.waited}
	one.hold.target, one.hold.mechanism, one.hold.place.known = one.target, one.mechanism, one.known
	if one.heldHere() {
		return nil, oslock.ErrLocked
	}
	return one, one.open()
}

// Compiled when they are first needed, which in most programs is never.
var (
	patternField = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{\{|\}\}|\{([^{}]*)\}|[{}]`) })
	numberField  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^number(?::(0?)([0-9]{0,2})d?)?$`) })
)

// expandPattern writes a file name for a slot, by what str.format of Python takes
// of such a pattern.
func expandPattern(pattern, name string, number int) (string, error) {
	var err error
	file := patternField().ReplaceAllStringFunc(pattern, func(field string) string {
		inner := strings.Trim(field, "{}")
		switch width := numberField().FindStringSubmatch(inner); {
		case field == "{{":
			return "{"
		case field == "}}":
			return "}"
		case inner == "name" && len(field) > 1:
			return name
		case width != nil && len(field) > 1:
			return fmt.Sprintf("%"+width[1]+width[2]+"d", number)
		}
		err = fmt.Errorf("WithFilenamePattern(%q): %q is neither {name} nor {number}, which may have a width as in {number:02d}", pattern, field)
		return ""
	})
	if err == nil && (file == "" || strings.ContainsAny(file, `/\`)) {
		err = fmt.Errorf("WithFilenamePattern(%q): %q is no file name; WithDirectory says where the files are", pattern, file)
	}
	return file, err
}
