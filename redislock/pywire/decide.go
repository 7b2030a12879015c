package pywire

import (
	"fmt"
	"slices"
)

// verdict is what a participant makes of what it sees.
type verdict uint8

const (
	undecided verdict = iota // not all have answered: look again
	blocked                  // leave, and come again
	wait                     // elected: stay until the readers have gone
	enter                    // the lock is to be had
)

// decide says what a participant that has seen these others does.
//
// All who are asked the same at the same time come to the same result, since the
// order of the ids is the same for all. Those who were asked at different times may
// not: a reply tells of the moment when it was given. So who enters alone must look
// once more; see contest.
func decide(me string, want mode, elected bool, others []reply) verdict {
	if want == shared {
		if slices.ContainsFunc(others, func(o reply) bool { return o.mode != shared }) {
			return blocked
		}
		return enter
	}
	readers, undecidedBefore := false, false
	for _, o := range others {
		before := o.id < me
		switch {
		case o.mode == exclusive:
			return blocked
		case o.mode == shared:
			readers = true
		case o.elected == isElected:
			// One who is elected goes before any id; of two, the lower.
			if !elected || before {
				return blocked
			}
		case !before:
		case !elected || o.elected == untold:
			// A Python before 4.2 that sorts lowest takes the lock whoever says to be
			// elected: it cannot read that.
			return blocked
		default:
			undecidedBefore = true
		}
	}
	if readers || undecidedBefore {
		return wait
	}
	return enter
}

// early are the others without the readers that have come after this one, a writer:
// they find it pending, and go away again. One who waited for a moment without any
// would wait long where readers come and go. The readers who were there at the first
// look are before; those of them who are still there are left.
//
// A reader that has gone and come back in between is taken for one that stayed.
func early(before map[string]mode, others []reply) (kept []reply, left map[string]mode) {
	left = map[string]mode{}
	for _, o := range others {
		if o.mode == shared {
			if _, ok := before[o.id]; !ok && before != nil {
				continue
			}
			left[o.id] = shared
		}
		kept = append(kept, o)
	}
	return kept, left
}

// legacyRival stands for all legacy participants, which have no ids.
const legacyRival = ""

// contest is for one who has made itself exclusive, but has not told its caller yet.
// It says whom of the others it must see gone before it may, and whether it must step
// back instead.
//
// Whoever subscribes after this one became exclusive finds it so, and goes away. So
// only those count who were there at the first look: each of them may have heard from
// this one that it is pending, and have decided by that. They either go away, as soon
// as they look again, or turn exclusive. Of two that are both exclusive the lower id
// stays, which is the rule of Python since 4.2; before that an exclusive one has
// looked for the last time, so it holds.
//
// Harmless is who comes after this one in order and, as it says elected or not, knows
// that rule.
func contest(me string, others []reply) (rivals map[string]mode, stepBack bool) {
	rivals = map[string]mode{}
	for _, o := range others {
		before := o.id < me
		switch {
		case o.legacy:
			rivals[legacyRival] = exclusive
		case o.mode == exclusive && (before || o.elected == untold):
			return nil, true
		case o.mode == pending && !before && o.elected != untold:
		default:
			rivals[o.id] = o.mode
		}
	}
	return rivals, false
}

// remaining are the rivals that are still to be waited for: those of the first look
// that have been there ever since, and whoever is exclusive now.
func remaining(before, current map[string]mode) map[string]mode {
	if before == nil {
		return current
	}
	left := map[string]mode{}
	for id, m := range current {
		if _, ok := before[id]; ok || m == exclusive {
			left[id] = m
		}
	}
	return left
}

// unsettled says whether only writers who have come at the same time keep a reader
// out: one of them will have the lock, or all will go because they have seen the
// reader.
func unsettled(others []reply) bool {
	return !slices.ContainsFunc(others, func(o reply) bool {
		return o.mode == exclusive || o.mode == pending && o.elected != notElected
	})
}

// describe says who is in the way, for an error.
func describe(others []reply) string {
	var holders, legacy, writers, readers int
	for _, o := range others {
		switch {
		case o.legacy:
			legacy++
		case o.mode == exclusive:
			holders++
		case o.mode == pending:
			writers++
		default:
			readers++
		}
	}
	switch {
	case holders > 0:
		return "by a holder on the channel"
	case legacy > 0:
		return "by a Python portalocker before 4.0, or something else that answers on the channel"
	case readers > 0 && writers == 0:
		return fmt.Sprintf("by %s", count(readers, "reader"))
	case readers > 0:
		return fmt.Sprintf("by %s, and wanted by %s", count(readers, "reader"), count(writers, "writer"))
	}
	return fmt.Sprintf("or about to be: wanted by %s", count(writers, "other writer"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
