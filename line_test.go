package portalocker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
)

func newPlace() *place { return &place{known: &knowledge{}} }

// stand goes to the end of the line for one path.
func stand(t *testing.T, mode oslock.Mode) *place {
	t.Helper()
	p := newPlace()
	p.enter(t.Name(), oslock.Flock, mode, time.Time{})
	return p
}

// whose says of each place whether it is its turn: "x" for yes, "." for no.
func whose(places ...*place) (turns string) {
	for _, p := range places {
		if mine, _ := p.first(time.Time{}); mine {
			turns += "x"
		} else {
			turns += "."
		}
	}
	return turns
}

// mustBeEmpty fails if a line is left when nobody stands in one, but for the one
// that is kept for the next who comes, and has to be as new.
func mustBeEmpty(t *testing.T) {
	t.Helper()
	lines.Lock()
	defer lines.Unlock()
	for m, byPath := range lines.byPath {
		for path, l := range byPath {
			switch {
			case l == lines.spare:
				if l.head != nil || l.shared != 0 || l.exclusive != 0 || l.near.Len() != 0 || l.far.Len() != 0 {
					t.Errorf("the line that is kept is not empty: %+v", l)
				}
				if l.path != path || int(l.mechanism) != m {
					t.Errorf("the line of %s, %v is kept for %s, %d", l.path, l.mechanism, path, m)
				}
			case path == t.Name() || strings.HasPrefix(path, t.Name()+"/"):
				t.Errorf("the line of %s, mechanism %d is still there", path, m)
			}
		}
	}
}

// TestLineOrder goes through who may ask the system, as places come, hold and go.
func TestLineOrder(t *testing.T) {
	const ex, sh = oslock.Exclusive, oslock.Shared
	for _, test := range []struct {
		name  string
		modes []oslock.Mode
		steps []string // what happens ("" for nothing, or hold or leave and a place), ":", whose turn it is then
	}{
		{"exclusive", []oslock.Mode{ex, ex, ex},
			[]string{":x..", "hold 0:...", "leave 0:.x.", "hold 1:...", "leave 1:..x", "hold 2:...", "leave 2:..."}},
		{"shared together", []oslock.Mode{sh, sh, sh},
			[]string{":x..", "hold 0:.x.", "hold 1:..x", "leave 0:..x", "hold 2:...", "leave 1:...", "leave 2:..."}},
		{"a writer is not overtaken by readers", []oslock.Mode{sh, ex, sh},
			[]string{":x..", "hold 0:...", "leave 0:.x.", "hold 1:...", "leave 1:..x", "hold 2:..."}},
		{"a writer waits for all readers", []oslock.Mode{sh, sh, ex},
			[]string{"hold 0:.x.", "hold 1:...", "leave 0:...", "leave 1:..x"}},
		{"who gives up", []oslock.Mode{ex, ex, ex, ex},
			[]string{":x...", "leave 2:x...", "leave 0:.x..", "leave 1:...x", "hold 3:....", "leave 3:...."}},
		{"a writer that gives up lets readers through", []oslock.Mode{sh, ex, sh},
			[]string{"hold 0:...", "leave 1:..x"}},
		{"one that passes the line by", []oslock.Mode{ex, ex, ex},
			[]string{":x..", "pass 2:...", "leave 2:x..", "leave 0:.x."}},
		{"one that passes the line by and shares", []oslock.Mode{sh, ex, sh},
			[]string{":x..", "pass 2:x..", "hold 0:...", "leave 0:...", "leave 2:.x."}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var places []*place
			gone, left := map[int]bool{}, map[int]bool{} // not in the line; not a holder either
			for n, mode := range test.modes {
				if slices.ContainsFunc(test.steps, func(step string) bool { return strings.HasPrefix(step, fmt.Sprintf("pass %d", n)) }) {
					places = append(places, newPlace())
					gone[n] = true // never in the line
				} else {
					places = append(places, stand(t, mode))
				}
			}
			for _, step := range test.steps {
				var what, want string
				n := -1
				if _, err := fmt.Sscanf(step, "%s %d:%s", &what, &n, &want); err != nil {
					want = step[1:]
				}
				switch what {
				case "hold":
					places[n].hold()
					gone[n] = true // no more in the line
				case "pass":
					places[n].pass(t.Name(), oslock.Flock, test.modes[n])
				case "leave":
					places[n].leave()
					gone[n], left[n] = true, true
				}
				got := ""
				for n, p := range places {
					if gone[n] {
						got += "."
					} else {
						got += whose(p)
					}
				}
				if got != want {
					t.Fatalf("after %q it is the turn of %s", step, got)
				}
			}
			for n, p := range places {
				if !left[n] {
					p.leave()
				}
			}
			mustBeEmpty(t)
		})
	}
}

// TestLineNear: only so many may open the file, always the first, and who gets near
// enough is told.
func TestLineNear(t *testing.T) {
	var places []*place
	for range 3 * lineOpen {
		places = append(places, stand(t, oslock.Exclusive))
	}
	turns := map[*place]<-chan struct{}{}
	for _, p := range places {
		if near, turn := p.mayOpen(); !near {
			turns[p] = turn
		}
	}
	nearest := func() {
		t.Helper()
		for n, p := range places {
			near, _ := p.mayOpen()
			if want := n <= lineOpen; near != want {
				t.Fatalf("place %d of %d may open the file: %v", n, len(places), near)
			}
			if turn := turns[p]; turn != nil && near {
				select {
				case <-turn:
					delete(turns, p)
				default:
					t.Fatalf("place %d was not told that it got near", n)
				}
			}
		}
	}
	leave := func(n int) {
		places[n].leave()
		places = slices.Delete(places, n, n+1)
		nearest()
	}
	nearest()
	leave(0)
	leave(lineOpen / 2)
	leave(2 * lineOpen) // far behind
	for len(places) > 0 {
		places[0].hold()
		leave(0)
	}
	mustBeEmpty(t)
}

// TestLineTells: a place that was told to wait is told when its turn comes, and
// only then.
func TestLineTells(t *testing.T) {
	a, b, c := stand(t, oslock.Exclusive), stand(t, oslock.Exclusive), stand(t, oslock.Exclusive)
	_, turnB := b.first(time.Time{})
	_, turnC := c.first(time.Time{})
	told := func(b, c bool) {
		t.Helper()
		for name, turn := range map[string]struct {
			ch   <-chan struct{}
			want bool
		}{"b": {turnB, b}, "c": {turnC, c}} {
			select {
			case <-turn.ch:
				if !turn.want {
					t.Errorf("%s was told, and it is not its turn", name)
				}
			default:
				if turn.want {
					t.Errorf("%s was not told of its turn", name)
				}
			}
		}
	}
	told(false, false)
	a.hold()
	told(false, false)
	if !a.leave() {
		t.Error("leave does not say that it woke somebody")
	}
	told(true, false)
	if !b.leave() { // without ever having held
		t.Error("leave does not say that it woke somebody")
	}
	told(false, true)
	if c.leave() {
		t.Error("leave says that it woke somebody, and nobody is there")
	}
	if newPlace().leave() {
		t.Error("who has no place woke somebody")
	}
	mustBeEmpty(t)
}

// TestLineKnows: what one lock has learned of its path another one knows that comes
// after it, for as long as it is fresh, and until somebody cannot open the path. What is
// known of one path is not known of another.
func TestLineKnows(t *testing.T) {
	looked := time.Now()
	learned := knowledge{looked: looked, vetted: true, dev: 7, local: true}
	paths := []string{t.Name() + "/a", t.Name() + "/b"}
	enter := func(path string, now time.Time) *place {
		p := newPlace()
		p.enter(path, oslock.Flock, oslock.Exclusive, now)
		return p
	}
	knows := func(what string, p *place, want knowledge) {
		t.Helper()
		if *p.known != want {
			t.Errorf("%s knows %+v, not %+v", what, *p.known, want)
		}
	}
	soon, late := looked.Add(lookEvery/2), looked.Add(lookEvery)

	one, beside := enter(paths[0], looked), enter(paths[0], looked)
	*one.known = learned
	one.leave()
	knows("who stands there", beside, knowledge{})
	beside.first(soon)
	knows("who was there and has its turn", beside, learned)
	beside.leave()
	next := enter(paths[0], soon)
	knows("who comes soon", next, learned)
	next.leave()
	tooLate := enter(paths[0], late)
	knows("who comes late", tooLate, knowledge{})
	tooLate.known.vetted = true
	tooLate.leave()
	fails := enter(paths[0], soon)
	knows("who comes after one that knew nothing", fails, learned)
	fails.known.vetted = false
	fails.leave()
	warned := enter(paths[0], soon)
	if warned.known.vetted {
		t.Error("the path is vetted, though it could not be opened")
	}
	*warned.known = learned
	warned.leave()
	other := enter(paths[1], soon)
	knows("another path", other, knowledge{})
	other.leave()
	back := enter(paths[0], soon)
	knows("who comes when the line was another path's", back, knowledge{})
	back.leave()
	mustBeEmpty(t)
}

// TestLinesAreApart: paths and mechanisms do not wait for each other.
func TestLinesAreApart(t *testing.T) {
	var places []*place
	for _, path := range []string{t.Name() + "/a", t.Name() + "/b"} {
		for _, m := range []oslock.Mechanism{oslock.Flock, oslock.POSIX} {
			p := newPlace()
			p.enter(path, m, oslock.Exclusive, time.Time{})
			places = append(places, p)
		}
	}
	if turns := whose(places...); turns != "xxxx" {
		t.Errorf("it is the turn of %s", turns)
	}
	for _, p := range places {
		p.hold()
		p.leave()
	}
	mustBeEmpty(t)
}

// TestLineKept: an empty line is kept for the next who comes; it serves its own
// path as before, gives way to another one, and never lives beside a second one of
// the same path.
func TestLineKept(t *testing.T) {
	enter := func(path string, m oslock.Mechanism) *place {
		p := newPlace()
		if !p.enter(path, m, oslock.Exclusive, time.Time{}) {
			t.Errorf("%s, %v: not the first in an empty line", path, m)
		}
		return p
	}
	a, b := t.Name()+"/a", t.Name()+"/b"
	first := enter(a, oslock.Flock)
	kept := first.line
	first.leave()
	again := enter(a, oslock.Flock)
	if again.line != kept {
		t.Error("the line was not kept for its path")
	}
	behind := newPlace()
	if behind.enter(a, oslock.Flock, oslock.Exclusive, time.Time{}) || behind.line != kept {
		t.Error("not behind the first")
	}
	other := enter(b, oslock.Flock) // while the kept one is in use
	posix := enter(a, oslock.POSIX)
	if other.line == kept || posix.line == kept || posix.line == other.line {
		t.Error("two paths or mechanisms in one line")
	}
	for _, p := range []*place{other, posix, again, behind} {
		p.leave()
		lines.Lock()
		n := 0
		for _, byPath := range lines.byPath {
			for path, l := range byPath {
				if strings.HasPrefix(path, t.Name()+"/") && l.head == nil {
					n++
				}
			}
		}
		lines.Unlock()
		if n > 1 {
			t.Errorf("%d empty lines are kept", n)
		}
	}
	mustBeEmpty(t)
	enter(b, oslock.Flock).leave() // the kept one is another path's by now
	mustBeEmpty(t)
	passed, late := newPlace(), newPlace()
	passed.pass(b, oslock.Flock, oslock.Shared)
	if late.enter(b, oslock.Flock, oslock.Exclusive, time.Time{}) {
		t.Error("the first beside a holder that has passed the line by")
	}
	late.leave()
	if !late.enter(b, oslock.Flock, oslock.Shared, time.Time{}) {
		t.Error("not the first beside one to share with")
	}
	late.leave()
	passed.leave()
	mustBeEmpty(t)
}

// TestLineCrowd: goroutines that wait for their turn by the channel alone, some of
// which give up. None may be forgotten, and holders must fit together.
func TestLineCrowd(t *testing.T) {
	var readers, writers atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				mode := oslock.Mode(1 + rand.IntN(2))
				p := stand(t, mode)
				mine, turn := p.first(time.Time{})
				for ; !mine; mine, turn = p.first(time.Time{}) {
					if rand.IntN(8) == 0 {
						break
					}
					<-turn
				}
				if !mine {
					p.leave()
					continue
				}
				p.hold()
				if mode == oslock.Shared {
					readers.Add(1)
				} else if writers.Add(1) != 1 || readers.Load() != 0 {
					t.Error("a writer that is not alone")
				}
				if writers.Load() != 0 && mode == oslock.Shared {
					t.Error("a reader beside a writer")
				}
				if mode == oslock.Shared {
					readers.Add(-1)
				} else {
					writers.Add(-1)
				}
				p.leave()
			}
		})
	}
	wg.Wait()
	mustBeEmpty(t)
}
