package portalocker_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// takeTickets takes tickets of which each is before the one before it, as no honest waiter's
// are, each by a descriptor of its own.
func takeTickets(path, number string) error {
	n, err := strconv.ParseInt(number, 10, 64)
	for ; n > 0 && err == nil; n-- {
		err = attackLock(path, func(fd int) error {
			return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Start: 1<<61 + n, Len: 1})
		})
	}
	return err
}

// ringBells sends datagrams of nonsense to each bell that there is, until the input
// ends, and then says how many it has sent.
func ringBells(p *testproc.Peer, seed string) error {
	ended := make(chan struct{})
	go func() {
		p.Hear()
		close(ended)
	}()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(seedOf(seed), 0))
	nonsense := make([]byte, 1000)
	for sent := 0; ; {
		for _, bell := range bells() {
			for i := range nonsense {
				nonsense[i] = byte(random.Uint32())
			}
			// Some are empty, which to who reads them looks like the end of a file.
			size := max(0, random.IntN(2*len(nonsense))-len(nonsense))
			if unix.Sendto(fd, nonsense[:size], 0, &unix.SockaddrUnix{Name: bell}) == nil {
				sent++
			}
		}
		select {
		case <-ended:
			p.Say("%d", sent)
			return nil
		default:
		}
	}
}

// bells are the names of the bells on this machine, as anybody sees them.
func bells() (names []string) {
	table, _ := os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if name := fields[len(fields)-1]; strings.HasPrefix(name, "@portalocker/") {
			names = append(names, name)
		}
	}
	return names
}

// TestHostileTickets: a stranger who may open the lock's file can lock all bytes where
// tickets are, or take thousands. That can cost others their places; but waits still
// end with their timeouts, and get the lock once it is free.
func TestHostileTickets(t *testing.T) {
	for _, attack := range []string{"flood", "crowd"} {
		t.Run(attack, func(t *testing.T) {
			path := filepath.Join(stickyDir(t), "x")
			newFile(t, path, "", 0o666)
			command := []string{attack, path}
			if attack == "crowd" {
				command = append(command, "4000")
			}
			attacker(t, command...)
			holding := holder(t, "lock", path)
			l := portalocker.New(path)
			for range 3 {
				_, err := l.Acquire(t.Context(), portalocker.WithTimeout(5*time.Millisecond))
				mustBeLocked(t, err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := l.Acquire(t.Context(), portalocker.WithTimeout(portalocker.Forever))
				done <- err
			}()
			if attack == "crowd" {
				queued(t, path, 4001) // with its own it stands far behind
			} else {
				watching(t, os.Getpid(), path)
			}
			holding.Say("release")
			holding.Expect("ok")
			must(t, inTime(t, func() error { return <-done }))
			must(t, l.Release())
		})
	}
}

// TestHostileBells: nonsense at the bells wakes waiters for nothing, and does no more:
// nobody gets a lock that is held, and all get it in the end.
func TestHostileBells(t *testing.T) {
	needRoot(t)
	const waiters = 5 // those behind the front have bells
	path := filepath.Join(t.TempDir(), "x")
	holding := holder(t, "lock", path)
	var waiting []*testproc.Process
	for i := range waiters {
		p := testproc.Start(t, "hold", "lock", path)
		p.Say("wait")
		p.Expect("waiting")
		queued(t, path, i+1)
		waiting = append(waiting, p)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ringing := attacker(t, "ring", strconv.FormatUint(seed, 10))
	testproc.Await(t, "all bells were rung, so that all have come to the front", func() bool { return len(bells()) == 0 })
	queued(t, path, waiters)
	holding.Say("release")
	holding.Expect("ok")
	for range waiters {
		p := first(t, waiting)
		_, err := portalocker.New(path, portalocker.WithTimeout(0)).Acquire(context.Background())
		mustBeLocked(t, err)
		p.Say("release")
		p.Expect("ok")
	}
	ringing.Close()
	if n, err := strconv.Atoi(ringing.Hear()); err != nil || n == 0 {
		t.Errorf("%d datagrams were sent, %v", n, err)
	}
}

// first waits for the first of some processes to say "ok".
func first(t *testing.T, all []*testproc.Process) (winner *testproc.Process) {
	t.Helper()
	testproc.Await(t, "one of them gets the lock", func() bool {
		for _, p := range all {
			select {
			case line := <-p.Lines():
				if line != "ok" {
					t.Fatalf("it says %q", line)
				}
				winner = p
				return true
			default:
			}
		}
		return false
	})
	return winner
}
