package portalocker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() {
	roles["atomic"] = atomicRole
	roles["rewrite"] = rewriteRole
}

// atomicRole is a process that writes one file after the other as it is told, and
// answers each line with "ok", "exists" or "error ...". Its argument is the way.
//
//	open PATH      begins a file
//	replace PATH   begins one that may replace another
//	commit TEXT    writes the text and publishes
//	close          gives it up
//	stop STEP      lets the next commit stop before a step, where it says "stopped"
func atomicRole(p *testproc.Peer, args []string) error {
	runtime.LockOSThread() // so that a trace is one of one thread
	stop := ""
	before := wayNamed(args[0]).before(func(step portalocker.AtomicStep) error {
		if stop == string(step) {
			p.Say("stopped")
			p.Hear()
		}
		return nil
	})
	var f *portalocker.AtomicFile
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		var err error
		switch verb, text, _ := strings.Cut(line, " "); verb {
		case "open":
			f, err = portalocker.OpenAtomic(text, before)
		case "replace":
			f, err = portalocker.OpenAtomic(text, portalocker.WithReplace(), before)
		case "commit":
			if _, err = f.WriteString(text); err == nil {
				err = f.Commit()
			}
		case "close":
			err = f.Close()
		case "stop":
			stop = text
		default:
			err = fmt.Errorf("no command %q", line)
		}
		switch {
		case err == nil:
			p.Say("ok")
		case errors.Is(err, fs.ErrExist):
			p.Say("exists")
		default:
			p.Say("error %v", err)
		}
	}
}

func wayNamed(name string) way {
	for _, w := range ways {
		if w.name == name {
			return w
		}
	}
	panic("no way: " + name)
}

// atomicWriter starts a process that has begun a file.
func atomicWriter(t *testing.T, w way, verb, path string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "atomic", w.name)
	ask(t, p, verb+" "+path, "ok")
	return p
}

func ask(t *testing.T, p *testproc.Process, line, answer string) {
	t.Helper()
	p.Say("%s", line)
	if got := p.Hear(); got != answer {
		t.Fatalf("%q was answered with %q", line, got)
	}
}

// TestAtomicRace: of eight processes that race for one name, one gets it. The
// others are told that it exists, and leave the file of the winner alone.
func TestAtomicRace(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		rounds := 20
		if testing.Short() {
			rounds = 4
		}
		var writers [8]*testproc.Process
		for i := range writers {
			writers[i] = testproc.Start(t, "atomic", w.name)
		}
		for round := range rounds {
			path := filepath.Join(dir, strconv.Itoa(round))
			for _, p := range writers {
				ask(t, p, "open "+path, "ok")
			}
			for i, p := range writers {
				p.Say("commit %s", strings.Repeat(strconv.Itoa(i), 10_000))
			}
			winner := -1
			for i, p := range writers {
				switch said := p.Hear(); {
				case said == "ok" && winner < 0:
					winner = i
				case said != "exists":
					t.Errorf("writer %d, after winner %d: %s", i, winner, said)
				}
			}
			published(t, path, strings.Repeat(strconv.Itoa(winner), 10_000))
			must(t, os.Remove(path))
		}
		for _, p := range writers {
			must(t, p.Wait())
		}
	})
}

// TestAtomicKilledBetween: a writer that is killed between the two steps of a
// replacement leaves a temporary name, which goes with the next open; one that only
// does not go on keeps it, and is not in the way of others.
func TestAtomicKilledBetween(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		must(t, os.WriteFile(path, []byte("old"), 0o666))
		p := atomicWriter(t, w, "replace", path)
		ask(t, p, "stop "+string(portalocker.StepRename), "ok")
		p.Say("commit first")
		p.Expect("stopped")
		drafts := func() int { return strings.Count(names(t, dir), ".portalocker-tmp") }
		if drafts() != 1 {
			t.Fatalf("there are %s", names(t, dir))
		}
		must(t, portalocker.WriteFileAtomic(path, []byte("second"), 0o666, portalocker.WithReplace(), w.before(nil)))
		mustHold(t, path, "second")
		if drafts() != 1 {
			t.Fatalf("the writer lives, and there are %s", names(t, dir))
		}
		p.Kill()
		f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
		must(t, err)
		must(t, f.Close())
		published(t, path, "second")

		p = atomicWriter(t, w, "replace", path)
		ask(t, p, "stop "+string(portalocker.StepRename), "ok")
		p.Say("commit third")
		p.Expect("stopped")
		must(t, portalocker.WriteFileAtomic(path, []byte("fourth"), 0o666, portalocker.WithReplace(), w.before(nil)))
		ask(t, p, "go on", "ok")
		must(t, p.Wait())
		published(t, path, "third")
	})
}

// contentOf is the only content that a file of this size may have.
func contentOf(size int) []byte {
	content := make([]byte, size, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(content[i:i+8:i+8], (uint64(size)<<32+uint64(i))*0x9e3779b97f4a7c15)
	}
	return content
}

// whole says what is wrong with a file that was read, "" if it is one of contentOf.
func whole(path string) string {
	content, err := os.ReadFile(path)
	switch {
	case err != nil && runtime.GOOS == "windows" && !errors.Is(err, fs.ErrNotExist):
		return "" // a sharing violation: it is being renamed right now
	case err != nil:
		return err.Error()
	case len(content) == 0 || !bytes.Equal(content, contentOf(len(content))):
		return fmt.Sprintf("%d bytes that nobody has written so", len(content))
	}
	return ""
}

// rewriteRole is a process that replaces a file for ever, by contents of 1 byte to
// 10 MB, once it is told to begin. Its arguments are the way, the path and a seed.
func rewriteRole(p *testproc.Peer, args []string) error {
	w := wayNamed(args[0])
	seed, _ := strconv.ParseUint(args[2], 10, 64)
	random := rand.New(rand.NewPCG(seed, 0))
	if _, ok := p.Hear(); !ok {
		return nil
	}
	p.Say("writing")
	for {
		size := int(math.Pow(10, 7*random.Float64()))
		err := portalocker.WriteFileAtomic(args[1], contentOf(size), 0o666, portalocker.WithReplace(), w.before(nil))
		if err != nil {
			p.Say("error %v", err)
			return err
		}
	}
}

// TestAtomicKilled: writers that are killed at random moments, a thousand times,
// never let anybody see anything but a whole old or new file. What little they can
// leave behind goes with the next open, and on Linux there is mostly nothing.
func TestAtomicKilled(t *testing.T) {
	kills, limit := 1000, 8*time.Second
	if testing.Short() {
		kills = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	// On its usual way three at a time, so that all of two processors are used.
	for i, lane := range []struct {
		way   string
		kills int
	}{{"default", kills * 3 / 10}, {"default", kills * 3 / 10}, {"default", kills * 3 / 10}, {"named", kills / 10}, {"linked", kills / 10}} {
		t.Run(lane.way, func(t *testing.T) {
			t.Parallel()
			killWriters(t, wayNamed(lane.way), lane.kills, limit, seed+uint64(i))
		})
	}
}

func killWriters(t *testing.T, w way, kills int, limit time.Duration, seed uint64) {
	dir := testproc.Folder(t)
	path := filepath.Join(dir, "x")
	must(t, os.WriteFile(path, contentOf(1), 0o666))
	stop, wrong := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(wrong)
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			if text := whole(path); text != "" {
				wrong <- text
				return
			}
		}
	}()
	random := rand.New(rand.NewPCG(seed, 1))
	start := func() *testproc.Process {
		return testproc.Start(t, "rewrite", w.name, path, strconv.FormatUint(random.Uint64(), 10))
	}
	done, changes, leftovers := 0, 0, 0
	tooLittle := func() bool { return done < min(kills, 20) || changes < done/20 }
	before := contentOf(1)
	next := start() // a process is started while the one before it writes
	// It takes longer where everything is slow.
	for begin := time.Now(); done < kills && time.Since(begin) < limit || tooLittle() && time.Since(begin) < 10*limit; done++ {
		p := next
		p.Say("begin")
		p.Expect("writing")
		next = start()
		time.Sleep(time.Duration(random.IntN(10_000)) * time.Microsecond) // any moment is as good
		p.Kill()
		if text := whole(path); text != "" {
			t.Fatalf("after kill %d: %s", done, text)
		}
		now, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(now, before) {
			changes++
		}
		before = now
		drafts := strings.Count(names(t, dir), ".portalocker-tmp")
		leftovers += min(drafts, 1)
		if drafts > 1 {
			t.Fatalf("after kill %d there are %s", done, names(t, dir))
		}
	}
	close(stop)
	if text := <-wrong; text != "" {
		t.Errorf("a reader found %s", text)
	}
	must(t, next.Wait())
	t.Logf("%d kills, after %d of which the file had changed and after %d of which there was a temporary name", done, changes, leftovers)
	f, err := portalocker.OpenAtomic(path, portalocker.WithReplace(), w.before(nil))
	must(t, err)
	must(t, f.Close())
	published(t, path, string(before))
	if tooLittle() {
		t.Errorf("only %d kills, and %d changes: the test shows too little", done, changes)
	}
}
