//go:build unix

package interop

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock/pywire"
)

func init() { roles["channel"] = channelRole }

// channelName is the lock that the two sides meet over.
const channelName = "nightly"

// channelRole is a process that does with a lock of package pywire what it is told, in
// the words of redislock/pywire/testdata/peer.py; "err" asks whether it still has it.
func channelRole(p *testproc.Peer, args []string) error {
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	defer func() { _ = rdb.Close() }()
	var lock *pywire.Lock
	var lease *pywire.Lease
	acquire := func(timeout time.Duration) (string, error) {
		l, err := lock.Acquire(context.Background(), pywire.WithTimeout(timeout))
		if errors.Is(err, portalocker.ErrAlreadyLocked) {
			return "locked", nil
		}
		lease = l
		return "got", err
	}
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		words := strings.Fields(line)
		var said string
		var err error
		switch words[0] {
		case "new":
			opts := []pywire.Option{pywire.WithCheckInterval(50 * time.Millisecond)}
			if words[1] == "shared" {
				opts = append(opts, pywire.WithShared())
			}
			lock, said = pywire.New(rdb, channelName, opts...), "ready"
		case "try":
			said, err = acquire(0)
		case "wait":
			var seconds float64
			if seconds, err = strconv.ParseFloat(words[1], 64); err == nil {
				said, err = acquire(time.Duration(seconds * float64(time.Second)))
			}
		case "release":
			said, err = "free", lease.Release(context.Background())
		case "err":
			said, err = "ok", lease.Err()
		default:
			err = errors.New("no such command")
		}
		if err != nil {
			said = "error " + strings.ReplaceAll(err.Error(), "\n", " | ")
		}
		p.Say("%s", said)
	}
}

// channelMeeting is the two sides over one channel.
type channelMeeting struct {
	version string
	server  *redistest.Server
	holder  party
	waiter  party
}

// party is a side, and how it uses the lock.
type party struct{ side, mode string }

// start starts a process that has not acquired yet.
func (m *channelMeeting) start(t *testing.T, who party) *testproc.Process {
	t.Helper()
	var p *testproc.Process
	if who.side == "Go" {
		p = testproc.Start(t, "channel", m.server.Addr())
	} else {
		_, port, _ := strings.Cut(m.server.Addr(), ":")
		peer := filepath.Join("..", "redislock", "pywire", "testdata", "peer.py")
		// -I keeps this shell's PYTHON variables and folder out.
		p = testproc.StartCmd(t, exec.Command(interpreter(m.version), "-I", "-u", peer, port, channelName))
	}
	ask(p, "new "+who.mode+" check_interval=0.05", "ready")
	return p
}

// waits makes a process wait: it has asked at least once when this returns.
func (m *channelMeeting) waits(t *testing.T, p *testproc.Process) {
	t.Helper()
	before := m.subscriptions(t)
	p.Say("wait 60")
	testproc.Await(t, "the waiter comes to the channel", func() bool { return m.subscriptions(t) > before })
}

// subscriptions is how many SUBSCRIBE commands the server has seen.
func (m *channelMeeting) subscriptions(t *testing.T) int {
	t.Helper()
	_, rest, found := strings.Cut(m.server.Do("INFO", "commandstats").(string), "cmdstat_subscribe:calls=")
	if !found {
		return 0
	}
	calls, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(calls)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// present waits until so many are on the channel.
func (m *channelMeeting) present(t *testing.T, want int64) {
	t.Helper()
	testproc.Await(t, fmt.Sprintf("%d are on the channel", want), func() bool {
		n, err := m.server.Client().PubSubNumSub(t.Context(), channelName).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n[channelName] == want
	})
}

// stays waits until so many are on the channel and one of them, which probes, stays
// there: a writer that is elected. Python 4.1 does not say that it is. Who is not
// leaves the channel after an attempt, which has three probes at most, in Go.
func (m *channelMeeting) stays(t *testing.T, want int) {
	t.Helper()
	const probes = 4
	testproc.Await(t, "the writer stays on the channel", func() bool {
		there := m.connections()
		if len(there) != want {
			return false
		}
		before := m.subscriptions(t)
		testproc.Await(t, "the writer probes", func() bool { return m.subscriptions(t) >= before+probes })
		return slices.Equal(there, m.connections())
	})
}

// connections are those by which somebody is on the channel.
func (m *channelMeeting) connections() (ids []string) {
	for line := range strings.Lines(m.server.Do("CLIENT", "LIST", "TYPE", "pubsub").(string)) {
		if strings.Contains(line, " name="+channelName+"-lock-") {
			id, _, _ := strings.Cut(line, " ")
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// isHeld tries the lock in the process of the test itself.
func (m *channelMeeting) isHeld(t *testing.T, opts ...pywire.Option) {
	t.Helper()
	_, err := pywire.New(m.server.Client(), channelName, pywire.WithTimeout(0)).Acquire(t.Context(), opts...)
	if !errors.Is(err, portalocker.ErrAlreadyLocked) {
		t.Fatalf("the lock is not held: %v", err)
	}
}

func (m *channelMeeting) isFree(t *testing.T, opts ...pywire.Option) {
	t.Helper()
	lease, err := pywire.New(m.server.Client(), channelName, pywire.WithTimeout(time.Minute)).Acquire(t.Context(), opts...)
	if err == nil {
		err = lease.Release(t.Context())
	}
	if err != nil {
		t.Fatalf("the lock is not free: %v", err)
	}
}
