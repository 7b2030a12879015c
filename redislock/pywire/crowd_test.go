//go:build linux

package pywire_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock/pywire"
)

var (
	crowdDuration = flag.Duration("crowd.duration", 5*time.Second, "how long TestCrowd runs for each version of Python")
	crowdSeed     = flag.Uint64("crowd.seed", 0, "what TestCrowd chooses by; 0 for a new one")
	crowdTrace    = flag.String("crowd.trace", "", "a folder for all that is said in TestCrowd, in a file for each version")
)

func init() { roles["crowd"] = crowdRole }

const (
	crowdChannel = "crowd"
	crowdSize    = 4 // of each language
)

// TestCrowd lets four processes in Go and four in Python take one lock again and
// again, as readers and writers, and kills some of them at any moment. Everybody says
// when it held the lock, by CLOCK_MONOTONIC, which is one clock for all processes
// (clock_gettime(2)), and what it said and heard on the channel. So every moment at
// which two held what excludes the other is seen, and with a Python that is known to
// grant itself the lock wrongly the trace must prove that it did.
func TestCrowd(t *testing.T) {
	eachVersion(t, func(t *testing.T, version string) {
		seed := cmp.Or(*crowdSeed, rand.Uint64())
		t.Logf("-crowd.seed=%d -crowd.duration=%v", seed, *crowdDuration)
		c := &crowd{t: t, version: version, server: redistest.Start(t), choose: rand.New(rand.NewPCG(seed, 0))}
		for round := 0; round == 0 || round < 10 && !c.bothHeld(); round++ {
			c.run()
		}
		c.keep()
		c.judge()
	})
}

// crowd is one run.
type crowd struct {
	t       *testing.T
	version string
	server  *redistest.Server
	choose  *rand.Rand
	began   int64 // by CLOCK_MONOTONIC
	peers   []*peer
}

// peer is one process, and what it has said.
type peer struct {
	name   string
	python bool
	proc   *testproc.Process
	done   chan struct{} // closed when its output has ended
	killed int64         // when, by CLOCK_MONOTONIC; 0 if it was not

	events []event
}

// event is a line "trace TIME WHAT WORD...".
type event struct {
	at    int64
	what  string
	words []string
}

// run lets the processes come and die for the time, and go at the end.
func (c *crowd) run() {
	running := make([]*peer, 2*crowdSize)
	end := time.Now().Add(*crowdDuration)
	c.began = cmp.Or(c.began, monotonic())
	for i := range running {
		running[i] = c.start(i, end)
	}
	for time.Now().Before(end) {
		time.Sleep(time.Duration(200+c.choose.IntN(1300)) * time.Millisecond) // between two random deaths
		i := c.choose.IntN(len(running))
		p := running[i]
		p.killed = monotonic()
		_ = p.proc.Cmd.Process.Kill() // Process.Kill would take lines away, too
		within(c.t, p.name+" is dead", p.done)
		p.proc.Kill()
		running[i] = c.start(i, end)
	}
	for _, p := range running {
		p.proc.Close()
		within(c.t, p.name+" ends", p.done) // before Wait, which would take lines away from who listens
		if err := p.proc.Wait(); err != nil {
			c.t.Errorf("%s ends: %v", p.name, err)
		}
	}
}

func (c *crowd) start(slot int, end time.Time) *peer {
	p := &peer{python: slot >= crowdSize, done: make(chan struct{})}
	seed, left := c.choose.Uint32(), max(time.Until(end), 0).Seconds()
	if p.python {
		p.name = fmt.Sprintf("Python %d", len(c.peers))
		p.proc = python(c.t, c.version, c.server, crowdChannel, "trace")
	} else {
		p.name = fmt.Sprintf("Go %d", len(c.peers))
		p.proc = testproc.Start(c.t, "crowd", c.server.Addr())
	}
	p.proc.Say("crowd %d %f", seed, left)
	c.peers = append(c.peers, p)
	go p.listen(c.t)
	return p
}

func (p *peer) listen(t *testing.T) {
	defer close(p.done)
	for line := range p.proc.Lines() {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "trace" {
			if line != "done" {
				t.Errorf("%s says %q", p.name, line)
			}
			continue
		}
		at, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			t.Errorf("%s says %q", p.name, line)
			continue
		}
		p.events = append(p.events, event{at, words[2], words[3:]})
	}
}

// crowdRole is a process of Go in the crowd.
func crowdRole(p *testproc.Peer, args []string) error {
	line, _ := p.Hear()
	var seed uint64
	var seconds float64
	if _, err := fmt.Sscanf(line, "crowd %d %f", &seed, &seconds); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	defer func() { _ = rdb.Close() }()
	teller := &teller{say: p.Say}
	choose := rand.New(rand.NewPCG(seed, 0))
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); time.Now().Before(end); {
		mode, opts := "exclusive", []pywire.Option{pywire.WithLogger(slog.New(teller))}
		if choose.Float64() < 0.4 {
			mode, opts = "shared", append(opts, pywire.WithShared())
		}
		opts = append(opts,
			pywire.WithTimeout([]time.Duration{0, time.Second, 5 * time.Second}[choose.IntN(3)]),
			pywire.WithCheckInterval([]time.Duration{50 * time.Millisecond, 250 * time.Millisecond}[choose.IntN(2)]),
			pywire.WithFailWhenLocked(choose.IntN(5) == 0))
		hold := time.Duration(1+choose.IntN(79)) * time.Millisecond
		pause := time.Duration(choose.IntN(100)) * time.Millisecond
		if choose.IntN(3) == 0 {
			pause *= 10
		}
		ctx, cancel := context.WithCancel(context.Background())
		if choose.IntN(5) == 0 {
			time.AfterFunc(time.Duration(choose.IntN(300))*time.Millisecond, cancel)
		}
		lease, err := pywire.New(rdb, crowdChannel).Acquire(ctx, opts...)
		switch {
		case err == nil:
			teller.tell("got %s", mode)
			teller.hold(lease, hold)
			if err := lease.Release(context.Background()); err != nil {
				teller.tell("fails %v", err)
			}
		case !errors.Is(err, portalocker.ErrAlreadyLocked):
			teller.tell("fails %v", err)
		}
		cancel()
		time.Sleep(pause)
	}
	p.Say("done")
	return nil
}

// teller says what happens, with the time. It is the handler of the log as well.
type teller struct {
	slog.Handler
	mu  sync.Mutex
	say func(string, ...any)
}

func (w *teller) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say("trace %d %s", monotonic(), fmt.Sprintf(format, args...))
}

// hold holds a lease for a time, or until it is lost.
func (w *teller) hold(l *pywire.Lease, d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.Lost():
	}
	now := monotonic()
	what := "free"
	if l.Err() != nil {
		what = "lost"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say("trace %d %s", now, what)
}

func (w *teller) Enabled(context.Context, slog.Level) bool { return true }

// Handle tells "pywire: becomes" as "becomes name=value ...".
func (w *teller) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(r.Message, "pywire: "))
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%s", a.Key, strings.ReplaceAll(a.Value.String(), " ", "_"))
		return true
	})
	w.tell("%s", b.String())
	return nil
}

// monotonic is the time of CLOCK_MONOTONIC in nanoseconds, as time.monotonic_ns() of
// Python gives it.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
