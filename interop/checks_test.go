//go:build unix

package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// checkExclusive is what holds for every lock of one holder: it excludes, a waiter
// gets it when the holder releases and when the holder is killed, and a waiter that
// is killed changes nothing.
func checkExclusive(t *testing.T, m *meeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "try", "ok")
	ask(b, "try", "locked")

	m.waits(t, b)
	ask(a, "release", "ok")
	b.Expect("ok")
	ask(a, "try", "locked")
	ask(b, "release", "ok")

	ask(a, "try", "ok")
	m.waits(t, b)
	a.Kill()
	b.Expect("ok")
	m.isHeld(t)
	ask(b, "release", "ok")

	a = m.start(t, m.holder)
	ask(a, "try", "ok")
	m.waits(t, b)
	b.Kill()
	m.isHeld(t)
	ask(a, "release", "ok")
	m.isFree(t)
}

// checkShared is what holds for readers and writers: readers of both sides are in
// together, a writer waits for the last of them and then keeps all out, and a reader
// or a writer that is killed is out.
func checkShared(t *testing.T, m *meeting) {
	a, b := m.start(t, m.holder, "shared"), m.start(t, m.waiter, "shared")
	writer := m.start(t, m.waiter)
	ask(a, "try", "ok")
	ask(b, "try", "ok")
	ask(writer, "try", "locked")

	m.waits(t, writer)
	ask(a, "release", "ok")
	m.isHeld(t) // by b
	m.isFree(t, "shared")
	ask(b, "release", "ok")
	writer.Expect("ok")
	ask(a, "try", "locked")
	ask(b, "try", "locked")

	m.waits(t, a)
	m.waits(t, b)
	writer.Kill()
	a.Expect("ok")
	b.Expect("ok")
	m.isHeld(t)

	b.Kill()
	m.isHeld(t) // by a
	m.isFree(t, "shared")
	writer = m.start(t, m.waiter)
	m.waits(t, writer)
	a.Kill()
	writer.Expect("ok")
	m.isHeld(t, "shared")
	ask(writer, "release", "ok")
	m.isFree(t)
}

// checkNested is an exclusive lock that its holder takes twice.
func checkNested(t *testing.T, m *meeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	ask(a, "try", "ok")
	ask(a, "try", "ok")
	ask(a, "release", "ok")
	ask(b, "try", "locked")
	ask(a, "release", "ok")
	ask(b, "try", "ok")
	ask(b, "release", "ok")
	ask(a, "release", "error") // one too many, on both sides
	ask(b, "release", "error")

	checkExclusive(t, m)
}

// checkTemporary is an exclusive lock whose file is there only while it is held.
func checkTemporary(t *testing.T, m *meeting) {
	checkExclusive(t, m)
	isGone(t, m.path)
}

// checkPID is an exclusive lock whose holder either side can name.
func checkPID(t *testing.T, m *meeting) {
	a, b := m.start(t, m.holder), m.start(t, m.waiter)
	names := func(p, holder *testproc.Process) {
		t.Helper()
		pid := strconv.Itoa(holder.Cmd.Process.Pid)
		if got := ask(p, "pid", "ok"); got != pid {
			t.Errorf("the PID file names %s to process %d, not %s", got, p.Cmd.Process.Pid, pid)
		}
	}
	ask(a, "try", "ok")
	if got, want := ask(b, "try", "locked"), strconv.Itoa(a.Cmd.Process.Pid); got != want {
		t.Errorf("the error names %q as the holder, not %s", got, want)
	}
	names(a, a)
	names(b, a)
	content, err := os.ReadFile(m.path)
	if want := strconv.Itoa(a.Cmd.Process.Pid); err != nil || string(content) != want {
		t.Errorf("the PID file holds %q, not %q (%v)", content, want, err)
	}

	m.waits(t, b)
	a.Kill() // and leaves a PID file that holds nothing
	b.Expect("ok")
	names(b, b)
	ask(b, "release", "ok")

	checkExclusive(t, m)
	isGone(t, m.path)
	isGone(t, m.path+".lock")
}

// checkSemaphore is a semaphore that both sides are in, and no one more than its limit.
func checkSemaphore(t *testing.T, m *meeting) {
	a, b, c := m.start(t, m.holder), m.start(t, m.waiter), m.start(t, m.holder)
	if ours, theirs := ask(a, "names", "ok"), ask(b, "names", "ok"); ours != theirs {
		t.Errorf("the slots are\n%s and\n%s", ours, theirs)
	}
	ask(a, "try", "ok")
	ask(b, "try", "ok")
	ask(c, "try", "ok")
	d := m.start(t, m.waiter)
	ask(d, "try", "locked")
	m.isHeld(t)

	m.waits(t, d)
	ask(c, "release", "ok")
	d.Expect("ok")
	ask(c, "try", "locked")

	m.waits(t, c)
	b.Kill()
	c.Expect("ok")
	m.isHeld(t)

	b = m.start(t, m.waiter)
	m.waits(t, b)
	a.Kill()
	b.Expect("ok")
	m.isHeld(t)

	a = m.start(t, m.holder)
	m.waits(t, a)
	a.Kill()
	m.isHeld(t)
	ask(d, "release", "ok")
	m.isFree(t)
}

// checkCrowd lets two processes of each side take turns, and count who is inside with
// them.
func checkCrowd(t *testing.T, k *kind, version string) {
	path, inside := filepath.Join(t.TempDir(), "it"), t.TempDir()
	args := []string{fmt.Sprintf("limit=%d", k.crowd), "interval=0.01"}
	var all []*testproc.Process
	for range 2 {
		all = append(all,
			goSide.start(t, k.golang, path, args...),
			pythonSide(version).start(t, k.python, path, args...))
	}
	for _, p := range all {
		p.Say("turns 25 %d %s", k.crowd, inside)
	}
	for _, p := range all {
		p.Expect("ok")
	}
}

func isGone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}
