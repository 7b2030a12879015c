package model

import (
	"testing"

	"github.com/portalocker/portalocker/internal/model/explore"
)

// The model of TemporaryFileLock: processes that open one path, lock what they
// have opened, look whether the path still names it, and unlink it before they
// unlock. In difference to TestTemporaryInAllOrders, which drives the real code
// over the real filesystem, each may be killed between any two system calls, and
// inode numbers are used again as soon as nobody has the inode.

// Where a user of a temporary lock is.
const (
	opening uint8 = iota
	locking
	verifying
	owning
	proving   // about to make sure that nobody shares the lock
	comparing // about to compare the path with the file
	unlinking
	unlocking
	finished
)

type user struct {
	at     uint8
	inode  uint8 // that it has open; 0 for none
	lock   uint8
	rounds uint8 // how often it will acquire after this
}

// pathWorld is a state of the model.
type pathWorld struct {
	users   [3]user
	named   uint8 // the inode at the path; 0 for none
	crashes uint8
	wrong   bool // somebody unlinked a file that was not its own
}

// pathRules is what the users do and, as false, what they neglect.
type pathRules struct {
	verifies     bool // looks at the path when it has the lock
	comparesFile bool // it is the same file, not just any
	unlinksFirst bool // and then unlocks
	alone        bool // unlinks only what nobody shares
	loserLeaves  bool // who did not get the lock leaves the file alone
	asks         bool // takes the lock only if the kernel gives it
}

type pathModel struct {
	pathRules
	modes   [3]uint8
	crashes uint8
}

func (m *pathModel) steps(w pathWorld, do func(explore.Step, pathWorld)) {
	for i, u := range w.users {
		if u.at == finished {
			continue
		}
		emit := func(kind explore.Kind, action string, u user, named uint8) {
			next := w
			next.named = named
			if u.at == opening || u.at == finished {
				u.inode, u.lock = 0, 0
			}
			next.users[i] = u
			if u.at == unlocking && w.named != named && w.named != w.users[i].inode {
				next.wrong = true
			}
			do(explore.Step{Kind: kind, Actor: uint8(i), Action: action}, next)
		}
		if w.crashes > 0 && u.at != opening {
			next := w
			next.crashes--
			next.users[i] = user{at: finished}
			do(explore.Step{Kind: explore.Fault, Actor: uint8(i), Action: "is killed"}, next)
		}
		m.act(&w, i, emit)
	}
}

// act is what a user does next.
func (m *pathModel) act(w *pathWorld, i int, emit func(explore.Kind, string, user, uint8)) {
	u := w.users[i]
	then := func(at uint8) user { u := u; u.at = at; return u }
	switch u.at {
	case opening:
		named := w.named
		if named == 0 {
			named = w.unused()
		}
		v := then(locking)
		v.inode = named
		emit(explore.Run, "opens the path, which makes the file if there is none", v, named)
	case locking:
		m.lock(w, i, emit)
	case verifying:
		if same := w.named == u.inode || !m.comparesFile && w.named != 0; same || !m.verifies {
			emit(explore.Run, "finds its file at the path, and has the lock", then(owning), w.named)
		} else {
			emit(explore.Run, "finds another file at the path, and starts over", then(opening), w.named)
		}
	case owning:
		if m.alone {
			emit(explore.User, "begins to release", then(proving), w.named)
		} else {
			emit(explore.User, "begins to release", then(comparing), w.named)
		}
	case proving:
		v := then(comparing)
		v.lock = exclusive
		if !w.free(i, u.inode, exclusive) { // the kernel takes the shared one away before it looks
			v = then(unlocking)
			v.lock = 0
		}
		emit(explore.Run, "wants its lock exclusively", v, w.named)
	case comparing:
		switch {
		case w.named != u.inode:
			emit(explore.Run, "finds another file at the path, and leaves it", then(unlocking), w.named)
		case !m.unlinksFirst && u.lock != 0:
			v := then(comparing)
			v.lock = 0
			emit(explore.Run, "unlocks", v, w.named)
		default:
			emit(explore.Run, "compares the path with its file", then(unlinking), w.named)
		}
	case unlinking:
		emit(explore.Run, "unlinks the path", then(unlocking), 0)
	case unlocking:
		v := then(opening)
		if v.rounds == 0 {
			v.at = finished
		} else {
			v.rounds--
		}
		emit(explore.Run, "unlocks and closes the file", v, w.named)
	}
}

func (m *pathModel) lock(w *pathWorld, i int, emit func(explore.Kind, string, user, uint8)) {
	u := w.users[i]
	if w.free(i, u.inode, m.modes[i]) || !m.asks {
		v := u
		v.at, v.lock = verifying, m.modes[i]
		emit(explore.Run, "locks the file", v, w.named)
		return
	}
	// It waits: the queue's model is about that. What wakes it is either that the
	// lock is free, above, or that the path has lost its file.
	v := u
	if w.named != u.inode {
		v.at = opening
		emit(explore.Run, "sees that its file is not at the path any more, and starts over", v, w.named)
	}
	v.at = unlocking
	if !m.loserLeaves {
		v.at = unlinking
	}
	emit(explore.User, "gives up", v, w.named)
}

// free says whether a lock on an inode can be had.
func (w *pathWorld) free(i int, inode, mode uint8) bool {
	for j, other := range w.users {
		if j != i && other.inode == inode && other.lock != 0 && (mode == exclusive || other.lock == exclusive) {
			return false
		}
	}
	return true
}

// unused is the lowest inode number that nobody has: filesystems use them again.
func (w *pathWorld) unused() uint8 {
	for inode := uint8(1); ; inode++ {
		used := inode == w.named
		for _, u := range w.users {
			used = used || u.inode == inode
		}
		if !used {
			return inode
		}
	}
}

func (m *pathModel) broken(w pathWorld) string {
	owners, alone := 0, 0
	for i, u := range w.users {
		if u.at == owning {
			owners++
			if m.modes[i] == exclusive {
				alone++
			}
		}
	}
	switch {
	case alone > 1, alone == 1 && owners > 1:
		return "two have verified that they hold the lock"
	case w.wrong:
		return "one unlinks the file of another"
	}
	return ""
}

// quiet says who waits though nobody has the lock, and what is left behind.
func (m *pathModel) quiet(w pathWorld) (wrong string, admitted bool) {
	ended, owned := true, false
	for _, u := range w.users {
		ended = ended && u.at == finished
		owned = owned || u.at == owning
	}
	switch {
	case !ended && !owned:
		return "all wait and nobody has the lock", false
	case ended && w.named != 0 && w.crashes == m.crashes: // else the next user takes and removes it
		return "the file is left behind", false
	}
	return "", false
}

func (m *pathModel) run(crashes uint8) explore.Result {
	m.crashes = crashes
	start := pathWorld{crashes: crashes}
	for i := range start.users {
		start.users[i].rounds = 1
	}
	model := explore.Model[pathWorld]{
		Start: []pathWorld{start}, Steps: m.steps, Broken: m.broken, Quiet: m.quiet, Limit: 2_000_000,
	}
	return model.Run()
}

var pathDesigned = pathRules{
	verifies: true, comparesFile: true, unlinksFirst: true, alone: true, loserLeaves: true, asks: true,
}

// TestUnlink: never two who have verified, nobody unlinks another's file, nobody
// waits for ever, and without a crash no file stays.
func TestUnlink(t *testing.T) {
	for name, modes := range map[string][3]uint8{
		"exclusive": {x, x, x}, "shared": {s, s, x},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, crashes := range []uint8{0, 3} {
				m := &pathModel{pathRules: pathDesigned, modes: modes}
				mustHold(t, m.run(crashes))
			}
		})
	}
}

// TestUnlinkWithoutARule takes one rule away at a time.
func TestUnlinkWithoutARule(t *testing.T) {
	for _, test := range []struct {
		name   string
		spoil  func(*pathRules)
		shared bool
		breaks string
	}{
		{"no look at the path with the lock", func(r *pathRules) { r.verifies = false }, false, "two have verified that they hold the lock"},
		{"any file at the path will do", func(r *pathRules) { r.comparesFile = false }, false, "two have verified that they hold the lock"},
		{"unlock before unlink", func(r *pathRules) { r.unlinksFirst = false }, false, "two have verified that they hold the lock"},
		{"the loser cleans up", func(r *pathRules) { r.loserLeaves = false }, false, "two have verified that they hold the lock"},
		{"the kernel is not asked", func(r *pathRules) { r.asks = false }, false, "two have verified that they hold the lock"},
		{"one of several readers unlinks", func(r *pathRules) { r.alone = false }, true, "two have verified that they hold the lock"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &pathModel{pathRules: pathDesigned, modes: [3]uint8{x, x, x}}
			if test.shared {
				m.modes = [3]uint8{s, s, x}
			}
			test.spoil(&m.pathRules)
			mustBreak(t, m.run(1), test.breaks)
		})
	}
}
