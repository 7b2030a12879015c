package pywire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
	"github.com/portalocker/portalocker/redislock"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// The tests of this file are one for each fault that releases of Python portalocker
// have had.

// watchedConn tells what a connection writes, and can hold up what it reads.
type watchedConn struct {
	net.Conn
	wrote  func(c *watchedConn, data []byte)
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	gate   <-chan struct{} // nothing is read before it is closed; nil for none
}

// watched gives the options of a client whose connections tell what they write.
func watched(s *redistest.Server, wrote func(c *watchedConn, data []byte)) *redis.Options {
	opts := s.Options()
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &watchedConn{Conn: c, wrote: wrote, closed: make(chan struct{})}, err
	}
	return opts
}

// hold holds up what is read.
func (c *watchedConn) hold(until <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = until
}

func (c *watchedConn) Write(b []byte) (int, error) {
	c.wrote(c, b)
	return c.Conn.Write(b)
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate == nil {
		return n, err
	}
	select {
	case <-gate:
		return n, err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestCountsOnlyWhenSubscribed: nobody is counted before the server has confirmed the
// own subscription.
func TestCountsOnlyWhenSubscribed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	open, asked, counted := make(chan struct{}), make(chan struct{}, 1), make(chan struct{}, 9)
	rdb := redis.NewClient(watched(s, func(c *watchedConn, data []byte) {
		switch data = bytes.ToLower(data); {
		case bytes.Contains(data, []byte("\r\nsubscribe\r\n")):
			c.hold(open)
			asked <- struct{}{}
		case bytes.Contains(data, []byte("\r\nnumsub\r\n")):
			counted <- struct{}{}
		}
	}))
	defer func() { must(t, rdb.Close()) }()
	got := make(chan error, 1)
	go func() {
		lease, err := pywire.New(rdb, channel).Acquire(context.Background())
		if err == nil {
			err = lease.Release(context.Background())
		}
		got <- err
	}()
	within(t, "it subscribes", asked)
	select {
	case <-counted:
		t.Error("it counts before its subscription is confirmed")
	case <-got:
		t.Error("it ends before its subscription is confirmed")
	case <-time.After(100 * time.Millisecond):
	}
	close(open)
	within(t, "it counts", counted)
	must(t, within(t, "it has the lock", got))
}

// TestCountedIsAnother: one is on the channel, but it is another one, for this one has
// been cut off and does not know it yet.
func TestCountedIsAnother(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var subscription *watchedConn
	var swap sync.Once
	never := make(chan struct{})
	rdb := redis.NewClient(watched(s, func(c *watchedConn, data []byte) {
		switch data = bytes.ToLower(data); {
		case bytes.Contains(data, []byte("\r\nsubscribe\r\n")) && subscription == nil:
			subscription = c
		case bytes.Contains(data, []byte("\r\nnumsub\r\n")):
			swap.Do(func() {
				subscription.hold(never) // it does not hear of what comes now
				id, _ := holder(t, s)
				s.Do("CLIENT", "KILL", "ID", id)
				play(t, s, holderName(highest), always(record(highest, "exclusive", "false")))
			})
		}
	}))
	defer func() { must(t, rdb.Close()) }()
	for _, more := range [][]pywire.Option{nil, {pywire.WithShared()}} {
		lease, err := pywire.New(rdb, channel, more...).Acquire(t.Context(), pywire.WithTimeout(2*time.Second), pywire.WithUnavailableTimeout(300*time.Millisecond))
		if err == nil {
			_ = lease.Release(t.Context())
		}
		if !errors.Is(err, portalocker.ErrAlreadyLocked) {
			t.Errorf("it says %v", err)
		}
	}
}

// TestOldReply: what a rival has answered may be old when it arrives. One that seemed
// to wait may hold by now, so a writer looks again when it has made itself exclusive.
func TestOldReply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says []string // one after the other; "" leaves the channel
		gets bool
	}{
		"it turns out to hold": {[]string{record(highest, "pending", ""), record(highest, "exclusive", "")}, false},
		"it turns out to hold, and is lower": {
			[]string{record(highest, "pending", "false"), record(lowest, "exclusive", "true")}, false},
		"it only tells later":      {[]string{record(highest, "pending", ""), record(highest, "pending", ""), record(highest, "exclusive", "")}, false},
		"it goes away":             {[]string{record(highest, "pending", ""), record(highest, "pending", ""), ""}, true},
		"it will look again":       {[]string{record(highest, "pending", "false")}, true},
		"it never makes up":        {[]string{record(highest, "pending", "")}, false},
		"a reader that may be in":  {[]string{record(highest, "pending", ""), record(highest, "shared", "false")}, false},
		"a rival that steps back":  {[]string{record(highest, "pending", "false"), record(highest, "exclusive", "true"), ""}, true},
		"a rival that does not":    {[]string{record(highest, "pending", "false"), record(highest, "exclusive", "true")}, false},
		"a legacy one that goes":   {[]string{record(highest, "pending", ""), "1719400000.123", ""}, true},
		"a legacy one that stays":  {[]string{record(highest, "pending", ""), "1719400000.123"}, false},
		"a lower one that is late": {[]string{record(highest, "pending", ""), record(lowest, "pending", "false")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			var rival *actor
			gone := make(chan struct{})
			ready := make(chan struct{})
			rival = play(t, s, holderName(highest), func(n int) string {
				said := c.says[min(n, len(c.says))-1]
				if said == "" {
					<-ready
					_ = rival.sub.Unsubscribe(context.Background(), channel)
					select {
					case <-gone:
					default:
						close(gone)
					}
					return record(highest, "pending", "")
				}
				return said
			})
			close(ready)
			lease, err := pywire.New(s.Client(), channel).Acquire(t.Context(), once, pywire.WithUnavailableTimeout(300*time.Millisecond))
			if err == nil {
				defer func() { must(t, lease.Release(t.Context())) }()
			}
			if (err == nil) != c.gets || err != nil && !errors.Is(err, portalocker.ErrAlreadyLocked) {
				t.Errorf("it says %v", err)
			}
			if len(rival.pinged) == 0 && !c.gets {
				t.Error("it has not asked")
			}
		})
	}
}

// TestManyHolders: all answers are read, however many there are, and nobody who has
// answered is cut off.
func TestManyHolders(t *testing.T) {
	t.Parallel()
	const many = 40
	s := redistest.Start(t)
	for i := range many {
		id := fmt.Sprintf("%032x", i)
		play(t, s, holderName(id), always(record(id, "shared", "false")))
	}
	acquired(t, pywire.New(s.Client(), channel, pywire.WithShared()), once)
	_, err := pywire.New(s.Client(), channel).Acquire(t.Context(), once)
	if !errors.Is(err, portalocker.ErrAlreadyLocked) || !strings.Contains(err.Error(), "41 readers") {
		t.Errorf("a writer: %v", err)
	}
	if n := subscribers(t, s); n != many+1 {
		t.Errorf("%d are left of %d", n, many+1)
	}
}

// TestLost: a connection that breaks is a lock that is lost, at once, and it does not
// come back.
func TestLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr())
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
	defer func() { must(t, rdb.Close()) }()
	for _, c := range []struct {
		name string
		cut  func()
		dead bool // the server does not see it
		opts []pywire.Option
	}{
		{name: "killed by another participant", cut: func() {
			id, _ := holder(t, s)
			s.Do("CLIENT", "KILL", "ID", id)
		}},
		{name: "a reader, killed", cut: func() { s.Do("CLIENT", "KILL", "TYPE", "pubsub") }, opts: []pywire.Option{pywire.WithShared()}},
		{name: "the link is cut", cut: p.Cut},
		{name: "the link is dead", cut: p.HalfOpen, dead: true, opts: []pywire.Option{pywire.WithUnavailableTimeout(300 * time.Millisecond)}},
	} {
		name := c.name
		lease := acquired(t, pywire.New(rdb, channel, c.opts...), once)
		c.cut()
		within(t, name+": it is lost", lease.Lost())
		within(t, name+": the context ends", lease.Context().Done())
		if err := lease.Err(); !errors.Is(err, redislock.ErrLost) || !errors.Is(context.Cause(lease.Context()), redislock.ErrLost) {
			t.Errorf("%s: %v, %v", name, err, context.Cause(lease.Context()))
		}
		p.Heal()
		if err := lease.Release(t.Context()); !errors.Is(err, redislock.ErrLost) {
			t.Errorf("%s: the release says %v", name, err)
		}
		if !c.dead { // the far ends of dead links stay
			testproc.Await(t, name+": it leaves nothing", func() bool { return p.Connections() == 0 })
			if subscribers(t, s) != 0 {
				t.Errorf("%s: it has subscribed again", name)
			}
		}
		// Over a dead link the server still counts it; whoever comes next cuts it off.
		must(t, acquired(t, pywire.New(s.Client(), channel, often, forever)).Release(t.Context()))
	}
}

// TestCutOffWhileWaiting: one who is cut off before it holds comes again.
func TestCutOffWhileWaiting(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	reader := acquired(t, pywire.New(s.Client(), channel, pywire.WithShared()))
	got := make(chan *pywire.Lease)
	go func() {
		l, err := pywire.New(s.Client(), channel, often, forever).Acquire(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	awaitElected(t, s)
	s.Do("CLIENT", "KILL", "TYPE", "pubsub") // the reader too
	within(t, "the reader has lost the lock", reader.Lost())
	l := within(t, "the writer has the lock", got)
	must(t, l.Err())
	must(t, l.Release(t.Context()))
}

// TestReap: who does not answer in time is cut off, and nobody else.
func TestReap(t *testing.T) {
	t.Parallel()
	const legacyName = channel + "-lock"
	silent := always("")
	slow := func(int) string {
		time.Sleep(200 * time.Millisecond)
		return record(highest, "shared", "false")
	}
	for name, c := range map[string]struct {
		peers map[string]func(int) string // by the names of their connections
		gone  []string
		gets  bool // a reader gets in afterwards
	}{
		"one that is silent":               {map[string]func(int) string{holderName(lowest): silent}, []string{holderName(lowest)}, true},
		"one that is slow, one silent":     {map[string]func(int) string{holderName(highest): slow, holderName(lowest): silent}, []string{holderName(lowest)}, true},
		"a legacy one":                     {map[string]func(int) string{legacyName: silent}, []string{legacyName}, true},
		"an unknown name":                  {map[string]func(int) string{"monitor": silent}, nil, false},
		"no holder id":                     {map[string]func(int) string{holderName(lowest[1:]): silent}, nil, false},
		"not lower-case":                   {map[string]func(int) string{holderName(strings.ToUpper(highest)): silent}, nil, false},
		"more than a holder id":            {map[string]func(int) string{holderName(lowest + "0"): silent}, nil, false},
		"another channel's":                {map[string]func(int) string{"x" + holderName(lowest): silent}, nil, false},
		"a legacy one, while one answers":  {map[string]func(int) string{legacyName: silent, "x": always("1719400000.123")}, nil, false},
		"one that is garbled, one silent":  {map[string]func(int) string{holderName(highest): always("{"), holderName(lowest): silent}, nil, false},
		"a legacy name, and answers as 4.": {map[string]func(int) string{legacyName: always(record(highest, "shared", ""))}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			for conn, says := range c.peers {
				play(t, s, conn, says)
			}
			lease, err := pywire.New(s.Client(), channel, pywire.WithShared(), once, pywire.WithUnavailableTimeout(400*time.Millisecond)).Acquire(t.Context())
			if err == nil {
				defer func() { must(t, lease.Release(t.Context())) }()
			}
			if (err == nil) != c.gets || err != nil && !errors.Is(err, portalocker.ErrAlreadyLocked) {
				t.Errorf("it says %v", err)
			}
			for conn := range c.peers {
				want := true
				for _, gone := range c.gone {
					want = want && conn != gone
				}
				if connected(t, s, conn) != want {
					t.Errorf("%s is there: %v", conn, !want)
				}
			}
		})
	}
}

// TestReapSparesLatecomers: who has come after the ping could not answer it.
func TestReapSparesLatecomers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var leaves *actor
	var once1 sync.Once
	ready := make(chan struct{})
	leaves = play(t, s, holderName(lowest), func(int) string {
		once1.Do(func() { // one goes, one comes: the count is the same
			<-ready
			play(t, s, holderName(highest), always(record(highest, "shared", "false")))
			_ = leaves.sub.Unsubscribe(context.Background(), channel)
		})
		return ""
	})
	close(ready)
	lease, err := pywire.New(s.Client(), channel, pywire.WithShared(), once, pywire.WithUnavailableTimeout(400*time.Millisecond)).Acquire(t.Context())
	must(t, err)
	must(t, lease.Release(t.Context()))
	if !connected(t, s, holderName(highest)) {
		t.Error("one who came after the ping was cut off")
	}
}

// TestUnknownReplies: each answer that is not understood is one more holder.
func TestUnknownReplies(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"1719400000.123", "pong", "{}", `{"holder_id": "a", "mode": "new", "protocol": 2}`} {
		s := redistest.Start(t)
		for range 2 { // two that say the same are two
			play(t, s, "x", always(said))
		}
		for _, opt := range []pywire.Option{once, pywire.WithShared()} {
			began := time.Now()
			_, err := pywire.New(s.Client(), channel, once, opt).Acquire(t.Context())
			if !errors.Is(err, portalocker.ErrAlreadyLocked) || !strings.Contains(err.Error(), "before 4.0") {
				t.Errorf("%s: %v", said, err)
			}
			if took := time.Since(began); took > pywire.DefaultUnavailableTimeout {
				t.Errorf("%s: it has waited %v for answers that were there", said, took)
			}
		}
	}
}

// TestForeignMessages: what is no ping gets no answer, and does no harm.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	lease := acquired(t, pywire.New(s.Client(), channel))
	c := s.Client()
	sub := c.Subscribe(t.Context(), "answers", channel)
	defer func() { _ = sub.Close() }()
	for range 2 {
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	noise := []string{"", "hello", "null", "[]", "{}", `{"response_channel": ""}`, `{"response_channel": 1}`, `{"response_channel":"` + channel + `"}`, "\xff"}
	for _, text := range append(noise, `{"message": "ping", "response_channel": "answers"}`) {
		must(t, c.Publish(t.Context(), channel, text).Err())
	}
	var heard []string
	for len(heard) <= len(noise)+1 {
		m, err := sub.ReceiveMessage(t.Context())
		must(t, err)
		heard = append(heard, m.Payload)
		if m.Channel == "answers" {
			break
		}
	}
	last := heard[len(heard)-1]
	if len(heard) != len(noise)+2 || !strings.Contains(last, `"mode":"exclusive","protocol":1,"elected":false`) {
		t.Errorf("heard %q", heard)
	}
	must(t, lease.Err())
}
