package portalocker

import (
	"container/list"
	"sync"
	"time"

	"github.com/portalocker/portalocker/internal/oslock"
)

// line is where the goroutines of this process stand for one path: those that
// hold the lock, and, first in first out, those that wait for it. It settles
// within the process who may ask the operating system, which then decides. It
// is about order and cost, never about exclusion: a goroutine that passes the
// line by still meets the system's lock.
//
// Only the first of those that wait, up to lineOpen, open the file: ten thousand
// waiters do not need as many descriptors, nor the threads that open them.
type line struct {
	path              string
	mechanism         oslock.Mechanism
	shared, exclusive int       // holders of this process
	head              *place    // whose turn it is, as soon as those holders allow it
	near              list.List // of *place: who is behind the head, and may open the file
	far               list.List // of *place: who is behind those
	known             knowledge // what the last of them has learned of the path
}

// lineOpen is how many waiters behind the head have the file open, so that it is
// open long before their turn.
const lineOpen = 64

// place is one goroutine's place in a line. It ends with leave.
type place struct {
	line  *line
	mode  oslock.Mode
	known *knowledge // of who stands there, whom it belongs to
	holds bool
	in    *list.List    // near or far, nil for the head and for holders
	elem  *list.Element // in that list
	prev  *place        // in lines.holders, nil for those who wait
	next  *place        // the same
	turn  chan struct{} // receives when the place may have got nearer; nil until it has to wait
}

// lines holds every line of this process that somebody stands in.
var lines struct {
	sync.Mutex
	byPath [oslock.Mechanisms]map[string]*line
	spare  *line // the one that was left empty last; it is in byPath still, as it often is the next that is wanted

	// holders is the head of a list of all that hold. A lock that the program has no
	// reference to any more is so kept from the garbage collector, which would close its
	// file, and that would release it.
	holders place
}

// enter goes to the end of the line, and reports what first does.
func (p *place) enter(path string, mechanism oslock.Mechanism, mode oslock.Mode, now time.Time) (first bool) {
	lines.Lock()
	defer lines.Unlock()
	l := p.at(path, mechanism, mode)
	p.learn(now)
	switch {
	case l.head == nil:
		l.head = p
		return p.isNext()
	case l.near.Len() < lineOpen:
		p.in, p.elem = &l.near, l.near.PushBack(p)
	default:
		p.in, p.elem = &l.far, l.far.PushBack(p)
	}
	return false
}

// pass makes a place a holder that has not stood in line.
func (p *place) pass(path string, mechanism oslock.Mechanism, mode oslock.Mode) {
	lines.Lock()
	defer lines.Unlock()
	p.at(path, mechanism, mode)
	p.nowHolds()
}

// nowHolds and holdsNoMore make a holder of a place, and end that.
func (p *place) nowHolds() {
	p.holds = true
	*p.holders()++
	p.prev, p.next = &lines.holders, lines.holders.next
	if p.next != nil {
		p.next.prev = p
	}
	lines.holders.next = p
}

func (p *place) holdsNoMore() {
	p.holds = false
	*p.holders()--
	p.prev.next = p.next
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

func (p *place) at(path string, mechanism oslock.Mechanism, mode oslock.Mode) *line {
	p.mode = mode
	if l := lines.spare; l != nil && l.path == path && l.mechanism == mechanism {
		lines.spare, p.line = nil, l
		return l
	}
	p.line = lines.byPath[mechanism][path]
	if p.line == nil {
		p.line = newLine(path, mechanism)
	}
	return p.line
}

func newLine(path string, mechanism oslock.Mechanism) *line {
	l := lines.spare
	if l == nil {
		l = &line{}
	} else {
		delete(lines.byPath[l.mechanism], l.path)
		lines.spare = nil
	}
	l.path, l.mechanism, l.known = path, mechanism, knowledge{}
	if lines.byPath[mechanism] == nil {
		lines.byPath[mechanism] = map[string]*line{}
	}
	lines.byPath[mechanism][path] = l
	return l
}

// mayOpen reports whether it is time to open the file. If not, the channel
// receives when that may have changed.
func (p *place) mayOpen() (bool, <-chan struct{}) {
	lines.Lock()
	defer lines.Unlock()
	return p.waitUnless(p.in != &p.line.far)
}

// first reports whether it is this place's turn to ask the operating system: it
// is the head, and no holder of this process stands in its way. If not, the
// channel receives when that may have changed.
func (p *place) first(now time.Time) (bool, <-chan struct{}) {
	lines.Lock()
	defer lines.Unlock()
	p.learn(now)
	return p.waitUnless(p.isNext())
}

// learn takes over what others of this process have just learned of the path.
func (p *place) learn(now time.Time) {
	if k := &p.line.known; k.looked.After(p.known.looked) && k.fresh(now) {
		*p.known = *k
	}
}

// teach leaves it to others. Who could not open the path has them look at it anew.
func (p *place) teach() {
	if k := &p.line.known; !p.known.vetted || p.known.looked.After(k.looked) {
		*k = *p.known
	}
}

func (p *place) waitUnless(ready bool) (bool, <-chan struct{}) {
	if !ready && p.turn == nil {
		p.turn = make(chan struct{}, 1)
	}
	return ready, p.turn
}

func (p *place) isNext() bool {
	l := p.line
	return l.head == p && l.exclusive == 0 && (l.shared == 0 || p.mode == oslock.Shared)
}

// hold makes a waiting place a holder, and lets the next one ask if it shares.
func (p *place) hold() {
	lines.Lock()
	defer lines.Unlock()
	p.stepOut()
	p.nowHolds()
	p.line.call()
}

// leave gives the place up, if there is one. It reports whether that woke the next
// goroutine.
func (p *place) leave() (woke bool) {
	if p.line == nil {
		return false
	}
	lines.Lock()
	defer lines.Unlock()
	p.teach()
	if p.holds {
		p.holdsNoMore()
	} else {
		p.stepOut()
	}
	if l := p.line; l.head == nil && l.shared == 0 && l.exclusive == 0 {
		if old := lines.spare; old != nil {
			delete(lines.byPath[old.mechanism], old.path)
		}
		lines.spare = l
		return false
	}
	return p.line.call()
}

// stepOut takes a waiting place out of the line, and lets the others move up.
func (p *place) stepOut() {
	l := p.line
	if p.in != nil {
		p.in.Remove(p.elem)
		p.in = nil
	} else {
		l.head = takeFront(&l.near)
	}
	if l.near.Len() < lineOpen {
		if next := takeFront(&l.far); next != nil {
			next.in, next.elem = &l.near, l.near.PushBack(next)
			next.wake()
		}
	}
}

// takeFront takes the first place out of a list; nil if there is none.
func takeFront(places *list.List) *place {
	front := places.Front()
	if front == nil {
		return nil
	}
	p := places.Remove(front).(*place)
	p.in, p.elem = nil, nil
	return p
}

func (p *place) holders() *int {
	if p.mode == oslock.Shared {
		return &p.line.shared
	}
	return &p.line.exclusive
}

// call wakes the head if it is its turn now.
func (l *line) call() (woke bool) {
	return l.head != nil && l.head.isNext() && l.head.wake()
}

func (p *place) wake() (woke bool) {
	select {
	case p.turn <- struct{}{}: // never, if there is no channel yet: then it is about to look
		return true
	default:
		return false
	}
}
