package portalocker

import (
	"container/list"
	"sync"

	"github.com/portalocker/portalocker/internal/oslock"
)

// line is where the goroutines of this process stand for one path: those that
// hold the lock, and, first in first out, those that wait for it. It settles
// within the process who may ask the operating system, which then decides. It
// is about order and cost, never about exclusion: a goroutine that passes the
// line by still meets the system's lock.
type line struct {
	path              string
	mechanism         oslock.Mechanism
	shared, exclusive int       // holders of this process
	head              *place    // whose turn it is, as soon as those holders allow it
	behind            list.List // of *place: who waits behind the head
}

// place is one goroutine's place in a line. It ends with leave.
type place struct {
	line   *line
	mode   oslock.Mode
	holds  bool
	behind *list.Element // in line.behind, nil otherwise
	turn   chan struct{} // receives when it may have become its turn; nil until it has to wait
}

// lines holds every line of this process that somebody stands in.
var lines struct {
	sync.Mutex
	byPath [oslock.Mechanisms]map[string]*line
	spare  *line // an empty one, for the next path that is locked
}

// enter goes to the end of the line.
func (p *place) enter(path string, mechanism oslock.Mechanism, mode oslock.Mode) {
	p.mode = mode
	lines.Lock()
	defer lines.Unlock()
	p.line = lines.byPath[mechanism][path]
	if p.line == nil {
		p.line = newLine(path, mechanism)
	}
	if p.line.head == nil {
		p.line.head = p
	} else {
		p.behind = p.line.behind.PushBack(p)
	}
}

func newLine(path string, mechanism oslock.Mechanism) *line {
	l := lines.spare
	if l == nil {
		l = &line{}
	}
	lines.spare = nil
	l.path, l.mechanism = path, mechanism
	if lines.byPath[mechanism] == nil {
		lines.byPath[mechanism] = map[string]*line{}
	}
	lines.byPath[mechanism][path] = l
	return l
}

// first reports whether it is this place's turn to ask the operating system: it
// is the head, and no holder of this process stands in its way. If not, the
// channel receives when that may have changed.
func (p *place) first() (bool, <-chan struct{}) {
	lines.Lock()
	defer lines.Unlock()
	if p.isNext() {
		return true, p.turn
	}
	if p.turn == nil {
		p.turn = make(chan struct{}, 1)
	}
	return false, p.turn
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
	p.holds = true
	*p.holders()++
	p.line.call()
}

// leave gives the place up. It reports whether that woke the next goroutine.
func (p *place) leave() (woke bool) {
	lines.Lock()
	defer lines.Unlock()
	if p.holds {
		*p.holders()--
	} else {
		p.stepOut()
	}
	if l := p.line; l.head == nil && l.shared == 0 && l.exclusive == 0 {
		delete(lines.byPath[l.mechanism], l.path)
		lines.spare = l
		return false
	}
	return p.line.call()
}

// stepOut takes a waiting place out of the line.
func (p *place) stepOut() {
	l := p.line
	if p.behind != nil {
		l.behind.Remove(p.behind)
		return
	}
	l.head = nil
	if next := l.behind.Front(); next != nil {
		l.head = l.behind.Remove(next).(*place)
		l.head.behind = nil
	}
}

func (p *place) holders() *int {
	if p.mode == oslock.Shared {
		return &p.line.shared
	}
	return &p.line.exclusive
}

// call wakes the head if it is its turn now.
func (l *line) call() (woke bool) {
	if l.head == nil || l.head.turn == nil || !l.head.isNext() {
		return false
	}
	select {
	case l.head.turn <- struct{}{}:
		return true
	default:
		return false
	}
}
