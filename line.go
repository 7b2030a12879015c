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
	key               lineKey
	shared, exclusive int       // holders of this process
	waiting           list.List // of *place; the first is the head
}

type lineKey struct {
	path      string
	mechanism oslock.Mechanism
}

// place is one goroutine's place in a line. It ends with leave.
type place struct {
	line *line
	mode oslock.Mode
	elem *list.Element // in line.waiting; nil once it holds
	turn chan struct{} // receives when the place may have become first; nil until it has to wait
}

// lines holds every line of this process that somebody stands in.
var lines = struct {
	sync.Mutex
	byKey map[lineKey]*line
}{byKey: map[lineKey]*line{}}

// enter goes to the end of the line.
func enter(key lineKey, mode oslock.Mode) *place {
	p := &place{mode: mode}
	lines.Lock()
	defer lines.Unlock()
	p.line = lines.byKey[key]
	if p.line == nil {
		p.line = &line{key: key}
		lines.byKey[key] = p.line
	}
	p.elem = p.line.waiting.PushBack(p)
	return p
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
	return l.waiting.Front() == p.elem && l.exclusive == 0 && (l.shared == 0 || p.mode == oslock.Shared)
}

// hold makes a waiting place a holder, and lets the next one ask if it shares.
func (p *place) hold() {
	lines.Lock()
	defer lines.Unlock()
	p.line.waiting.Remove(p.elem)
	p.elem = nil
	*p.holders()++
	p.line.call()
}

// held reports whether the place holds the lock. Only its own goroutine asks.
func (p *place) held() bool { return p.elem == nil }

// leave gives the place up, and lets the next one ask.
func (p *place) leave() {
	lines.Lock()
	defer lines.Unlock()
	if p.elem != nil {
		p.line.waiting.Remove(p.elem)
	} else {
		*p.holders()--
	}
	p.line.call()
	if l := p.line; l.waiting.Len() == 0 && l.shared == 0 && l.exclusive == 0 {
		delete(lines.byKey, l.key)
	}
}

func (p *place) holders() *int {
	if p.mode == oslock.Shared {
		return &p.line.shared
	}
	return &p.line.exclusive
}

// call wakes the head if it is its turn now.
func (l *line) call() {
	front := l.waiting.Front()
	if front == nil {
		return
	}
	if head := front.Value.(*place); head.turn != nil && head.isNext() {
		select {
		case head.turn <- struct{}{}:
		default:
		}
	}
}
