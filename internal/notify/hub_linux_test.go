package notify

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/testproc"
)

// event is one of the kernel's, as inotify(7) lays it out.
func event(wd int32, mask uint32, name string) (buf []byte) {
	padded := []byte(name)
	for len(name) > 0 && len(padded)%unix.SizeofInotifyEvent != 0 {
		padded = append(padded, 0)
	}
	for _, field := range []uint32{uint32(wd), mask, 0, uint32(len(padded))} {
		buf = binary.NativeEndian.AppendUint32(buf, field)
	}
	return append(buf, padded...)
}

// TestDispatch hands several events of one read to whom they concern.
func TestDispatch(t *testing.T) {
	every := []int{everyFile}
	for _, test := range []struct {
		name   string
		events [][]byte
		fired  [3][]int // of three watches; the last has the files 7, 8 and 9
	}{
		{"one", [][]byte{event(2, unix.IN_CLOSE_WRITE, "")}, [3][]int{1: {0}}},
		{"two", [][]byte{event(1, unix.IN_ATTRIB, ""), event(8, unix.IN_CLOSE_NOWRITE, "")}, [3][]int{{0}, nil, {1}}},
		{"twice", [][]byte{event(9, unix.IN_ATTRIB, ""), event(7, unix.IN_ATTRIB, ""), event(9, unix.IN_ATTRIB, "")}, [3][]int{2: {0, 2}}},
		{"a watch that has left", [][]byte{event(5, unix.IN_CLOSE_WRITE, ""), event(1, unix.IN_ATTRIB, "")}, [3][]int{{0}}},
		{"an entry of a directory, and what comes after it", [][]byte{
			event(1, unix.IN_CLOSE_WRITE, "a name of some length"), event(2, unix.IN_CLOSE_WRITE, ""),
		}, [3][]int{1: {0}}},
		{"events were lost", [][]byte{event(-1, unix.IN_Q_OVERFLOW, "")}, [3][]int{every, every, every}},
		{"half an event", [][]byte{event(1, unix.IN_CLOSE_WRITE, "")[:8]}, [3][]int{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hub{watches: map[int32]map[*Watch]struct{}{}}
			var watches [3]*Watch
			for i, wds := range [3][]int32{{1}, {2}, {7, 8, 9}} {
				w := &Watch{hints: make(chan struct{}, 1), files: map[int32]int{}, fired: map[int]bool{}}
				for file, wd := range wds {
					w.files[wd] = file
					h.watches[wd] = map[*Watch]struct{}{w: {}}
				}
				watches[i] = w
			}
			h.dispatch(slices.Concat(test.events...))
			for i, w := range watches {
				files, all := w.Fired()
				slices.Sort(files)
				if !slices.Equal(files, test.fired[i]) || all != slices.Contains(test.fired[i], everyFile) {
					t.Errorf("watch %d: fired %v and all %v, not %v", i, files, all, test.fired[i])
				}
				if hinted := len(w.hints) == 1; hinted != (len(test.fired[i]) > 0) {
					t.Errorf("watch %d: hinted %v", i, hinted)
				}
			}
		})
	}
}

// TestRefusedInstance: a process that may have no inotify instance does not ask for one
// at every wait, nor does a wait stand behind another one's try, which takes long. When
// it may have one again, it gets it.
func TestRefusedInstance(t *testing.T) {
	tries, trying, goOn := 0, make(chan struct{}), make(chan struct{})
	slow, allowed := false, false
	h := hub{watches: map[int32]map[*Watch]struct{}{}}
	h.create = func() (fd, poke int, err error) {
		tries++
		if slow {
			close(trying)
			<-goOn
		}
		if allowed {
			return newInstance()
		}
		return 0, 0, unix.EMFILE
	}
	path := []string{t.TempDir()}
	refused := func() {
		t.Helper()
		if _, err := h.add(path, 0); !errors.Is(err, unix.EMFILE) {
			t.Errorf("%v", err)
		}
	}
	longAgo := func() { h.asked = time.Now().Add(-2 * askAgain) }
	refused()
	refused()
	if tries != 1 {
		t.Errorf("%d tries in a moment", tries)
	}

	slow = true
	longAgo()
	var other sync.WaitGroup
	other.Go(func() { _, _ = h.add(path, 0) })
	<-trying
	refused() // at once, or it would wait for ever
	close(goOn)
	other.Wait()
	if tries != 2 {
		t.Errorf("%d tries, not one more", tries)
	}

	slow, allowed = false, true
	longAgo()
	w, err := h.add(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.forget(w)
	if err := errors.Join(unix.Close(h.fd), unix.Close(h.poke)); err != nil {
		t.Error(err)
	}
}

// waiting is a watch that waits, in a goroutine of its own.
type waiting struct {
	*Watch
	file   *os.File
	cancel context.CancelFunc
	hinted chan bool
}

// wait starts a wait. It returns when that leads or follows.
func wait(t *testing.T, until time.Time) *waiting {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	watch, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{watch, f, cancel, make(chan bool, 1)}
	var done sync.WaitGroup
	done.Go(func() { w.hinted <- watch.Wait(ctx, until) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
		watch.Close()
		_ = f.Close()
	})
	testproc.Await(t, "it leads or follows", func() bool {
		process.mu.Lock()
		defer process.mu.Unlock()
		return process.leader == watch || watch.following || len(w.hinted) > 0
	})
	return w
}

// ends fails unless the wait ends so.
func (w *waiting) ends(t *testing.T, hinted bool, because string) {
	t.Helper()
	select {
	case got := <-w.hinted:
		if got != hinted {
			t.Errorf("because of %s: hinted is %v", because, got)
		}
	case <-time.After(20 * time.Second): // only a hang meets it
		t.Fatalf("the wait does not end because of %s", because)
	}
}

// touch makes an event.
func (w *waiting) touch(t *testing.T) {
	t.Helper()
	if err := os.Chmod(w.file.Name(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWaitEnds: each thing that can end a wait does, for the one that reads the
// events and for one that lets it read; and the other of the two, who then may have
// to read, waits on and gets its own hint.
func TestWaitEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(t *testing.T, w *waiting)
		hinted bool
	}{
		"event":   {func(t *testing.T, w *waiting) { w.touch(t) }, true},
		"context": {func(_ *testing.T, w *waiting) { w.cancel() }, false},
	} {
		t.Run(name+" for the leader", func(t *testing.T) {
			leader, follower := wait(t, time.Time{}), wait(t, time.Time{})
			test.end(t, leader)
			leader.ends(t, test.hinted, name)
			follower.touch(t)
			follower.ends(t, true, "its event")
		})
		t.Run(name+" for a follower", func(t *testing.T) {
			leader, follower := wait(t, time.Time{}), wait(t, time.Time{})
			test.end(t, follower)
			follower.ends(t, test.hinted, name)
			leader.touch(t)
			leader.ends(t, true, "its event")
		})
	}
}

// TestWaitEndsInTime: the same with the time that a wait may take.
func TestWaitEndsInTime(t *testing.T) {
	for _, first := range []bool{true, false} {
		until := [2]time.Time{}
		if first {
			until[0] = time.Now().Add(20 * time.Millisecond)
		} else {
			until[1] = time.Now().Add(20 * time.Millisecond)
		}
		waits := [2]*waiting{wait(t, until[0]), wait(t, until[1])}
		for i, w := range waits {
			if !until[i].IsZero() {
				w.ends(t, false, "its time")
				if time.Now().Before(until[i]) {
					t.Error("it ended before its time")
				}
				waits[1-i].touch(t)
				waits[1-i].ends(t, true, "its event")
			}
		}
	}
	past := wait(t, time.Unix(1, 0))
	past.ends(t, false, "a time in the past")
}

// TestEventBeforeWait is not lost: neither one that nobody has read yet, nor one
// that somebody else has read.
func TestEventBeforeWait(t *testing.T) {
	for _, readByOther := range []bool{false, true} {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		w, err := New(f)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close() // an event
		if readByOther {
			other := wait(t, time.Time{})
			other.touch(t)
			other.ends(t, true, "its event")
		}
		if !w.Wait(t.Context(), time.Now().Add(20*time.Second)) {
			t.Errorf("the event before the wait was lost; read by another: %v", readByOther)
		}
		w.Close()
	}
}

// TestLeadersComeAndGo: waits that end by their context, by their time and by events
// at the same moments. Whoever has an event gets its hint, whoever was reading then.
func TestLeadersComeAndGo(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		f, err := os.Create(filepath.Join(dir, string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer f.Close() //nolint:errcheck // nothing was written
			w, err := New(f)
			if err != nil {
				t.Error(err)
				return
			}
			defer w.Close()
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				var until time.Time
				touched := false
				switch (n + i) % 4 {
				case 0: // an event, and the context ends too
					go cancel()
					fallthrough
				case 1: // an event
					touched = true
					if err := os.Chmod(f.Name(), 0o600); err != nil {
						t.Error(err)
					}
				case 2:
					go cancel()
				case 3:
					until = time.Now().Add(10 * time.Microsecond)
				}
				hinted := w.Wait(ctx, until)
				for touched && !hinted { // ended by its context before it was told
					hinted = w.Wait(t.Context(), time.Now().Add(20*time.Second))
					if !hinted {
						t.Error("a hint was lost")
						break
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.leader != nil || len(process.watches) != 0 {
		t.Errorf("the hub still knows %v and %d watches", process.leader, len(process.watches))
	}
}
