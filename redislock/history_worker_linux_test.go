package redislock_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
)

func init() { roles["history"] = historyRole }

// historyLocks are the locks of a run. The first is only held exclusively, the
// second by readers and writers, the third is a semaphore, the fourth all of it. The
// last has readers only, who hold it for long: nobody ever waits for it, so nobody
// finds that one of them has died, and each must learn it by itself.
var historyLocks = []string{"alone", "readers", "permits", "mixed", "crowd"}

const (
	hands       = 4 // goroutines of a process that acquire; the last is for the last lock
	permits     = 3 // of the third lock
	permitsToo  = 2 // of the last lock
	turns       = 2 // of each hand at each lock in the relay
	usualChecks = 40 * time.Millisecond
)

// workerConfig is what a process of a run is told.
type workerConfig struct {
	Addr    string
	User    string
	Process int
	Seed    uint64
	TTL     time.Duration
	History string // the file to write
	Break   string // the rule of the scripts to break
	Hermit  bool   // holds for very long and asks for nothing: it must learn all by itself
}

// worker is a process of a run. Its hands acquire and release until it hears
// "quiet"; after that it does what it is told, and answers "done".
type worker struct {
	workerConfig
	recorder *recorder
	client   *redislock.Client
	wires    wires

	mu   sync.Mutex
	next int // numbers the operations
}

func historyRole(p *testproc.Peer, args []string) error {
	redis.SetLogger(quiet{})
	w := &worker{}
	if err := json.Unmarshal([]byte(args[0]), &w.workerConfig); err != nil {
		return err
	}
	if err := redislock.Break(w.Break); err != nil {
		return err
	}
	file, err := os.OpenFile(w.History, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	w.recorder = &recorder{file: file}
	rdb, client := w.connect(redislock.WithLeaseTTL(w.TTL), redislock.WithLogger(slog.New(&sessionLog{recorder: w.recorder})))
	w.client = client
	ctx, quiet := context.WithCancel(context.Background())
	defer quiet()
	var busy sync.WaitGroup
	for hand := range hands {
		if !w.Hermit || hand == hands-1 {
			busy.Go(func() { w.live(ctx, hand) })
		}
	}
	p.Say("up")
	for line, ok := p.Hear(); ok; line, ok = p.Hear() {
		switch command := strings.Fields(line); command[0] {
		case "deaf":
			w.wires.deafen()
		case "quiet":
			quiet()
			busy.Wait()
		case "sweep":
			err = w.sweep()
		case "together":
			err = w.together(p, command[1])
		case "relay":
			err = w.relay()
		case "end":
			err = errors.Join(client.Close(), rdb.Close(), goleak.Find(), file.Close())
		}
		if err != nil {
			return err
		}
		p.Say("done")
	}
	return nil
}

func (w *worker) connect(opts ...redislock.Option) (*redis.Client, *redislock.Client) {
	rdb := redis.NewClient(&redis.Options{Addr: w.Addr, Username: w.User, Password: "x", Dialer: w.wires.dial})
	return rdb, redislock.New(rdb, opts...)
}

// live is the life of a hand. Its choices depend on the seed alone.
func (w *worker) live(ctx context.Context, hand int) {
	r := rand.New(rand.NewPCG(w.Seed, uint64(w.Process*hands+hand)))
	for ctx.Err() == nil {
		w.turn(r, hand)
		if chance(r, 30) {
			time.Sleep(rand.N(4 * time.Millisecond)) // so that a lock is free now and then
		}
	}
}

// turn is one acquisition, and what follows.
func (w *worker) turn(r *rand.Rand, hand int) {
	name := historyLocks[len(historyLocks)-1]
	if hand < hands-1 {
		name = historyLocks[r.IntN(len(historyLocks)-1)]
	}
	mode, limit := chooseMode(r, name)
	timeout := time.Duration(5+r.IntN(500)) * time.Millisecond
	if chance(r, 20) {
		timeout = 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if chance(r, 25) {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(60_000))*time.Microsecond)
		defer cancel()
	}
	if chance(r, 20) { // a context that never ends takes another way through the code
		ctx, timeout = context.Background(), min(timeout, 300*time.Millisecond)
	}
	checks := time.Duration(20+r.IntN(60)) * time.Millisecond

	w.mu.Lock()
	w.next++
	op := w.next*hands + hand
	w.mu.Unlock()
	w.recorder.add(event{Kind: called, Op: op, Lock: name, Mode: mode, Limit: limit})
	lease, err := acquireAs(ctx, w.client, name, mode, limit, redislock.WithTimeout(timeout), redislock.WithCheckInterval(checks))
	back := clock()
	switch {
	case errors.Is(err, portalocker.ErrAlreadyLocked):
		w.recorder.add(event{At: back, Kind: refused, Op: op})
	case err != nil:
		w.recorder.add(event{At: back, Kind: failed, Op: op, Text: err.Error()})
	default:
		holder, session := lease.Record()
		w.recorder.add(event{At: back, Kind: granted, Op: op, Holder: holder, Session: session, Fence: lease.Fence()})
		w.hold(r, op, lease)
	}
}

// hold looks at a lease again and again, and releases it.
func (w *worker) hold(r *rand.Rand, op int, lease *redislock.Lease) {
	length := time.Duration(r.IntN(3000)) * time.Microsecond
	if chance(r, 25) {
		length = time.Duration(r.IntN(25_000)) * time.Microsecond
	}
	if op%hands == hands-1 || chance(r, 2) {
		length = time.Duration(1 + r.Int64N(int64(5*w.TTL/2)))
	}
	if w.Hermit {
		length = 2*w.TTL + time.Duration(r.Int64N(int64(4*w.TTL)))
	}
	for end := time.Now().Add(length); ; {
		at := clock()
		err := lease.Err()
		if err != nil {
			w.recorder.add(event{At: at, Kind: lost, Op: op, Text: err.Error()})
			w.mourn(op, lease, err)
			return
		}
		w.recorder.add(event{At: at, Kind: believed, Op: op})
		if time.Now().After(end) {
			break
		}
		time.Sleep(time.Duration(r.IntN(4000)) * time.Microsecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if chance(r, 10) {
		cancel()
	}
	w.recorder.add(event{Kind: releasing, Op: op})
	err := lease.Release(ctx)
	e := event{Kind: released, Op: op}
	if err != nil {
		e.Text = err.Error()
	}
	if errors.Is(err, redislock.ErrLost) {
		w.recorder.add(event{Kind: lost, Op: op, Text: err.Error()})
	}
	w.recorder.add(e)
	if lease.Err() == nil {
		w.wrong(op, "Err is nil after Release")
	}
}

// mourn checks that a lease that is lost is lost in every way, and stays so.
func (w *worker) mourn(op int, lease *redislock.Lease, err error) {
	if !errors.Is(err, redislock.ErrLost) {
		w.wrong(op, "the error of a lost lease is %v", err)
	}
	select {
	case <-lease.Lost():
	case <-time.After(10 * time.Second):
		w.wrong(op, "Err said %v, and Lost is not closed", err)
	}
	select {
	case <-lease.Context().Done():
	case <-time.After(10 * time.Second):
		w.wrong(op, "Err said %v, and Context has not ended", err)
	}
	for range 3 {
		if lease.Err() == nil {
			w.wrong(op, "Err is nil, and was %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := lease.Release(context.Background()); !errors.Is(err, redislock.ErrLost) {
		w.wrong(op, "Release of a lost lease said %v", err)
	}
}

func (w *worker) wrong(op int, format string, args ...any) {
	w.recorder.add(event{Kind: wrong, Op: op, Text: fmt.Sprintf(format, args...)})
}

// sweep takes every lock once. So it finds all that are held by nobody.
func (w *worker) sweep() error {
	for _, name := range historyLocks {
		if err := w.pass(w.client, name, "exclusive", 0, usualChecks); err != nil {
			return err
		}
	}
	return nil
}

// together holds a lock together with others, until it hears a line.
func (w *worker) together(p *testproc.Peer, name string) error {
	mode, limit := "shared", 0
	if name == "permits" {
		mode, limit = "permit", permits
	}
	lease, err := surely(w.client, name, mode, limit, usualChecks)
	if err != nil {
		return err
	}
	p.Say("holding")
	p.Hear()
	return giveBack(lease)
}

// relay hands the locks on, where nobody looks whether they are free: each must be
// told. Its sessions are long, so that none of them ends because the machine is busy.
func (w *worker) relay() error {
	rdb, client := w.connect()
	results := make(chan error, hands)
	for range hands {
		go func() {
			var err error
			for range turns {
				for _, name := range historyLocks {
					mode, limit := chooseMode(rand.New(rand.NewPCG(1, 1)), name)
					err = errors.Join(err, w.pass(client, name, mode, limit, time.Hour))
				}
			}
			results <- err
		}()
	}
	var err error
	for range hands {
		err = errors.Join(err, <-results)
	}
	return errors.Join(err, client.Close(), rdb.Close())
}

// pass takes a lock and gives it on.
func (w *worker) pass(client *redislock.Client, name, mode string, limit int, checks time.Duration) error {
	lease, err := surely(client, name, mode, limit, checks)
	if err != nil {
		return err
	}
	return giveBack(lease)
}

// surely gets a lock however long that takes, also where a link that went dead has
// to be given up first.
func surely(c *redislock.Client, name, mode string, limit int, checks time.Duration) (*redislock.Lease, error) {
	for {
		lease, err := acquireAs(context.Background(), c, name, mode, limit,
			redislock.WithTimeout(portalocker.Forever), redislock.WithCheckInterval(checks))
		if !errors.Is(err, redislock.ErrUnavailable) {
			return lease, err
		}
	}
}

// giveBack releases a lease. Where the server does not answer in time it will be
// free all the same, as Release promises.
func giveBack(lease *redislock.Lease) error {
	err := lease.Release(context.Background())
	if errors.Is(err, redislock.ErrLost) || errors.Is(err, redislock.ErrUnavailable) {
		return nil
	}
	return err
}

func acquireAs(ctx context.Context, c *redislock.Client, name, mode string, limit int, opts ...redislock.LockOption) (*redislock.Lease, error) {
	switch mode {
	case "shared":
		return c.NewLock(name, redislock.WithShared()).Acquire(ctx, opts...)
	case "permit":
		return c.NewSemaphore(name, limit).Acquire(ctx, opts...)
	default:
		return c.NewLock(name).Acquire(ctx, opts...)
	}
}

func chooseMode(r *rand.Rand, name string) (mode string, limit int) {
	switch n := r.IntN(100); {
	case name == "permits":
		return "permit", permits
	case name == "mixed" && n < 35:
		return "permit", permitsToo
	case name == "mixed" && n < 70, name == "readers" && n < 75, name == "crowd":
		return "shared", 0
	default:
		return "exclusive", 0
	}
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// sessionLog takes note of the sessions that begin.
type sessionLog struct{ recorder *recorder }

func (*sessionLog) Enabled(context.Context, slog.Level) bool { return true }
func (s *sessionLog) WithAttrs([]slog.Attr) slog.Handler     { return s }
func (s *sessionLog) WithGroup(string) slog.Handler          { return s }

func (s *sessionLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session begins" {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "session" {
				s.recorder.add(event{Kind: began, Session: a.Value.String()})
			}
			return true
		})
	}
	return nil
}

// userOf is the name by which the server knows a process, as CLIENT KILL needs it.
func userOf(slot int) string { return "worker" + strconv.Itoa(slot) }
