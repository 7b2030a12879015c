//go:build unix

package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// redisResults is the table of the locks on a server.
var redisResults = &table{name: "redis", what: "Modes"}

// What holds of a channel, as the lines of the table name it.
const (
	channelBoth    = "both exclusive"
	channelGoReads = "Go shared, Python exclusive"
	channelPyReads = "Go exclusive, Python shared"
	channelReaders = "both shared"

	oldCutsOffNobody = "Before 4.0.0 Python cuts off nobody, so it waits for a Go holder that is stopped until that runs on, " +
		"and knows that it has lost the lock."
	oldHasNoReaders = "Shared locks are new in 4.0.0. An older Python excludes Go's readers, and is excluded by them, as a writer."
)

// The parties, by how they use the lock.
var (
	goAlone, pyAlone = party{"Go", "exclusive"}, party{"Python", "exclusive"}
	goReads, pyReads = party{"Go", "shared"}, party{"Python", "shared"}
)

// channelCases are the rows of the table.
var channelCases = []channelCase{
	{label: channelBoth, role: "Python holds, Go waits", holder: pyAlone, waiter: goAlone, check: checkChannel},
	{label: channelBoth, role: "Go holds, Python waits", holder: goAlone, waiter: pyAlone, check: checkChannel},
	{label: channelBoth, role: "Python is killed, which holds", holder: pyAlone, waiter: goAlone, check: checkChannelHolderKilled},
	{label: channelBoth, role: "Go is killed, which holds", holder: goAlone, waiter: pyAlone, check: checkChannelHolderKilled},
	{label: channelBoth, role: "Python is killed, which waits", holder: goAlone, waiter: pyAlone, check: checkChannelWaiterKilled},
	{label: channelBoth, role: "Go is killed, which waits", holder: pyAlone, waiter: goAlone, check: checkChannelWaiterKilled},
	{label: channelBoth, role: "Python is stopped, which holds", holder: pyAlone, waiter: goAlone, check: checkChannelHolderStopped},
	{
		label: channelBoth, role: "Go is stopped, which holds", holder: goAlone, waiter: pyAlone, check: checkChannelHolderStopped,
		since: "4.0.0", lacks: oldCutsOffNobody, instead: checkChannelNobodyIsCutOff,
	},
	{label: channelGoReads, role: "Python holds, Go waits", holder: pyAlone, waiter: goReads, check: checkChannel},
	{label: channelGoReads, role: "Go holds, Python waits", holder: goReads, waiter: pyAlone, check: checkChannel},
	{label: channelGoReads, role: "Go is killed, which holds", holder: goReads, waiter: pyAlone, check: checkChannelHolderKilled},
	{label: channelPyReads, role: "Python holds, Go waits", holder: pyReads, waiter: goAlone, check: checkChannel, since: "4.0.0", lacks: oldHasNoReaders},
	{label: channelPyReads, role: "Go holds, Python waits", holder: goAlone, waiter: pyReads, check: checkChannel, since: "4.0.0", lacks: oldHasNoReaders},
	{label: channelPyReads, role: "Python is killed, which holds", holder: pyReads, waiter: goAlone, check: checkChannelHolderKilled, since: "4.0.0", lacks: oldHasNoReaders},
	{label: channelReaders, role: "both hold, writers of both wait", holder: pyReads, waiter: goReads, check: checkChannelReaders, since: "4.0.0", lacks: oldHasNoReaders},
	{label: channelReaders, role: "both hold, a writer in Go waits", holder: pyReads, waiter: goAlone, check: checkChannelWriter, since: "4.0.0", lacks: oldHasNoReaders},
	{label: channelReaders, role: "both hold, a writer in Python waits", holder: pyReads, waiter: pyAlone, check: checkChannelWriter, since: "4.0.0", lacks: oldHasNoReaders},
}

// channelCase is one row.
type channelCase struct {
	label, role    string
	holder, waiter party
	since, lacks   string // the first version that has it, and what those before it lack
	instead, check func(t *testing.T, m *channelMeeting)
}

// Each mode of RedisLock is held by one side and wanted by the other, in both roles,
// against every version.
func TestChannels(t *testing.T) {
	versions := pythonVersions(t)
	redistest.Program(t)
	for _, c := range channelCases {
		row := redisResults.row(c.label, c.role)
		for _, version := range versions {
			t.Run(c.label+"/"+c.role+"/"+version, func(t *testing.T) {
				t.Parallel()
				check := c.check
				if c.since != "" && before(version, c.since) {
					row.lacks(t, version, c.lacks)
					if check = c.instead; check == nil {
						return
					}
				} else {
					row.ok(t, version)
				}
				check(t, &channelMeeting{version: version, server: redistest.Start(t), holder: c.holder, waiter: c.waiter})
			})
		}
	}
}

// checkChannel: a waiter is kept out, also when its time runs out, and has the lock
// when the holder gives it back.
func checkChannel(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	m.isHeld(t)
	m.isHeld(t, pywire.WithTimeout(time.Minute), pywire.WithFailWhenLocked(true))
	if m.holder.mode == "exclusive" {
		m.isHeld(t, pywire.WithShared())
	}
	ask(b, "try", "locked")
	ask(b, "wait 1", "locked") // time enough to ask, on a busy machine
	m.waits(t, b)
	ask(a, "release", "free")
	b.Expect("got")
	ask(a, "try", "locked")
	m.isHeld(t)
	ask(b, "release", "free")
	ask(a, "wait 60", "got")
	ask(a, "release", "free")
	m.isFree(t)
}

func checkChannelHolderKilled(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	ask(b, "try", "locked")
	m.waits(t, b)
	a.Kill()
	b.Expect("got")
	m.isHeld(t)
	ask(b, "release", "free")
	m.isFree(t)
}

func checkChannelWaiterKilled(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	m.waits(t, b)
	b.Kill()
	m.present(t, 1)
	m.isHeld(t)
	if m.holder.side == "Go" {
		ask(a, "err", "ok")
	}
	ask(a, "release", "free")
	m.isFree(t)
}

// checkChannelHolderStopped: one that does not answer is cut off, and knows it when it
// runs again, if its version can.
func checkChannelHolderStopped(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	a.Stop()
	ask(b, "wait 60", "got")
	switch {
	case m.holder.side == "Go":
		a.Say("err")
		a.Continue()
		if said := a.Expect("error "); !strings.Contains(said, redislock.ErrLost.Error()) {
			t.Errorf("it says %q", said)
		}
	case !before(m.version, "4.2.0"):
		a.Continue()
		if said := a.Expect("trace "); !strings.HasSuffix(said, " lost") {
			t.Errorf("it says %q", said)
		}
	}
	m.isHeld(t)
	ask(b, "release", "free")
}

// checkChannelNobodyIsCutOff is what a version does instead that waits for one that
// does not answer.
func checkChannelNobodyIsCutOff(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	a.Stop()
	ask(b, "wait 1.5", "locked")
	a.Say("err")
	a.Continue()
	if said := a.Expect("error "); !strings.Contains(said, redislock.ErrLost.Error()) { // by its own clock
		t.Errorf("it says %q", said)
	}
	ask(b, "wait 60", "got")
}

// checkChannelReaders: they keep out the writers of both, until the last one goes.
func checkChannelReaders(t *testing.T, m *channelMeeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	writers := []*testproc.Process{m.start(t, goAlone), m.start(t, pyAlone)}
	ask(a, "wait 60", "got")
	ask(b, "wait 60", "got")
	m.isFree(t, pywire.WithShared())
	for _, w := range writers {
		ask(w, "try", "locked")
	}
	ask(a, "release", "free")
	for _, w := range writers {
		ask(w, "try", "locked")
	}
	ask(a, "wait 60", "got") // b was first this time
	ask(b, "release", "free")
	a.Kill()
	for _, w := range writers {
		ask(w, "wait 60", "got")
		ask(b, "try", "locked")
		ask(w, "release", "free")
	}
}

// checkChannelWriter: one that waits for readers of both keeps out new ones, and has the
// lock when the last one goes.
func checkChannelWriter(t *testing.T, m *channelMeeting) {
	a, b, late := m.start(t, pyReads), m.start(t, goReads), m.start(t, pyReads)
	writer := m.start(t, m.waiter)
	ask(a, "wait 60", "got")
	ask(b, "wait 60", "got")
	writer.Say("wait 60")
	m.stays(t, 3)
	ask(late, "try", "locked")
	m.isHeld(t, pywire.WithShared())
	ask(a, "release", "free")
	m.isHeld(t, pywire.WithShared())
	ask(b, "release", "free")
	writer.Expect("got")
	ask(late, "try", "locked")
	m.isHeld(t, pywire.WithShared())
	ask(writer, "release", "free")
	ask(late, "wait 60", "got")
}

// channelRights are what a user of the server needs, as docs/python.md has it.
const channelRights = "resetkeys resetchannels &nightly &nightly-* -@all +hello +auth +select +ping " +
	"+subscribe +unsubscribe +publish +pubsub|numsub +multi +exec +client|setname +client|list +client|kill"

// A user with these rights, and no others, is enough for both sides, also to cut off
// one that is stopped.
func TestChannelRights(t *testing.T) {
	versions := pythonVersions(t)
	redistest.Program(t)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			command := []any{"ACL", "SETUSER", "default"} // the one that has not to log in
			for _, word := range strings.Fields(channelRights) {
				command = append(command, word)
			}
			s.Do(command...)
			m := &channelMeeting{version: version, server: s}
			python, golang := m.start(t, pyAlone), m.start(t, goAlone)
			ask(python, "wait 60", "got")
			ask(golang, "try", "locked")
			ask(python, "release", "free")
			ask(golang, "wait 60", "got")
			ask(python, "try", "locked")
			ask(golang, "release", "free")
			ask(python, "wait 60", "got")
			python.Stop()
			ask(golang, "wait 60", "got")
			if before(version, "4.0.0") {
				return
			}
			other := m.start(t, pyAlone)
			golang.Stop()
			ask(other, "wait 60", "got")
		})
	}
}
