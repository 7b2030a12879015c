package notify_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker/internal/notify"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["ring"] = ringRole }

// ringRole is a process that rings a bell.
func ringRole(p *testproc.Peer, args []string) error {
	notify.Ring(args...)
	p.Say("rung")
	return nil
}

// bellName is a name that no other test run has.
func bellName(t *testing.T, n int) string {
	t.Helper()
	return fmt.Sprintf("portalocker-test/%d/%s/%d", os.Getpid(), t.Name(), n)
}

// mustRing waits for the bell.
func mustRing(t *testing.T, b *notify.Bell) {
	t.Helper()
	select {
	case <-b.Rung():
	case <-time.After(time.Minute): // only a ring that never comes meets it
		t.Fatal("the bell does not ring")
	}
}

// TestBell is rung by another process, and only when its name is called.
func TestBell(t *testing.T) {
	a, err := notify.HangBell(bellName(t, 1))
	must(t, err)
	defer a.Close()
	b, err := notify.HangBell(bellName(t, 2))
	must(t, err)
	defer b.Close()
	testproc.Start(t, "ring", bellName(t, 2), bellName(t, 3)).Expect("rung") // nobody has the third
	mustRing(t, b)
	testproc.Start(t, "ring", bellName(t, 3), bellName(t, 2), bellName(t, 1)).Expect("rung")
	mustRing(t, b)
	mustRing(t, a)
	select {
	case <-a.Rung():
		t.Error("two rings, and it was called once")
	default:
	}
}

// TestBellName: a name is one bell's, and free again when that is taken down.
func TestBellName(t *testing.T) {
	b, err := notify.HangBell(bellName(t, 1))
	must(t, err)
	if other, err := notify.HangBell(bellName(t, 1)); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second bell of the name: %v", err)
		if err == nil {
			other.Close()
		}
	}
	b.Close()
	b, err = notify.HangBell(bellName(t, 1))
	must(t, err)
	notify.Ring(bellName(t, 1))
	mustRing(t, b)
	b.Close()
}

// TestBellTooLong: a name that no address holds (unix(7): 107 bytes after the
// first) is an error, and ringing there does nothing.
func TestBellTooLong(t *testing.T) {
	name := fmt.Sprintf("%0200d", 1)
	if b, err := notify.HangBell(name); err == nil {
		b.Close()
		t.Error("a bell with a name of 200 bytes")
	}
	notify.Ring(name)
}

// TestBellEmptyRing: a datagram without content, which this package never sends but
// anybody may, is a ring as every other, and not the last one that is heard.
func TestBellEmptyRing(t *testing.T) {
	b, err := notify.HangBell(bellName(t, 1))
	must(t, err)
	defer b.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Sendto(fd, nil, 0, &unix.SockaddrUnix{Name: "@" + bellName(t, 1)}))
	mustRing(t, b)
	notify.Ring(bellName(t, 1))
	mustRing(t, b)
}

// TestBellIsNeverFull: whoever rings does not wait, however often a bell was rung
// that nobody listens to.
func TestBellIsNeverFull(t *testing.T) {
	b, err := notify.HangBell(bellName(t, 1))
	must(t, err)
	defer b.Close()
	for range 2000 {
		notify.Ring(bellName(t, 1), bellName(t, 2))
	}
	mustRing(t, b)
}

// TestBellsLeaveNothing hangs up and takes down many, while others ring.
func TestBellsLeaveNothing(t *testing.T) {
	before := descriptors(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				b, err := notify.HangBell(bellName(t, i))
				if err != nil {
					t.Error(err)
					return
				}
				notify.Ring(bellName(t, i), bellName(t, (i+1)%8))
				select {
				case <-b.Rung():
				case <-time.After(time.Minute):
					t.Error("the bell does not ring")
				}
				b.Close()
			}
		})
	}
	wg.Wait()
	if err := goleak.Find(); err != nil {
		t.Error(err)
	}
	if n := descriptors(t); n > before+2 { // the runtime's poller may have come
		t.Errorf("%d descriptors, and %d before", n, before)
	}
}
