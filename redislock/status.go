package redislock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/redisconn"
)

// Status is what a server knows of one lock or semaphore at one moment.
type Status struct {
	Name    string
	Owners  []Peer // who hold it
	Waiters []Peer // the first hundred of who wait for it, in the order of their turns
	Waiting int    // how many wait
	Fence   int64  // the last that was given; 0 if none is known
	Foreign int    // how many are on the channel of that name: locks of Python portalocker, or of package pywire
}

// Peer is one who holds a lock or waits for it.
type Peer struct {
	ID      string    // of the holder; each Acquire has its own
	Mode    string    // "exclusive", "shared" or "permit"
	Permits int       // of the semaphore; 0 for a lock
	Fence   int64     // 0 for one who waits
	Since   time.Time // when it began to hold or to wait, by the server's clock
	PID     int
	Host    string
}

// listedWaiters is how many waiters Status lists.
const listedWaiters = 100

// Status asks who holds a lock, and who waits for it; the dead are not among them.
// A name that nobody uses has an empty Status.
func (c *Client) Status(ctx context.Context, name string) (Status, error) {
	if err := cmp.Or(c.err, checkName(name)); err != nil {
		return Status{}, &portalocker.LockError{Op: "status", Path: name, Err: err}
	}
	place := "plain"
	if c.conn.Cluster() {
		place = "sharded"
	}
	reply, err := statusScript().Run(ctx, c.conn, keysOf(name), place, listedWaiters, name).Slice()
	if err != nil {
		return Status{}, &portalocker.LockError{Op: "status", Path: name, Err: c.conn.Explain(err)}
	}
	s, err := parseStatus(name, reply)
	if err != nil {
		return Status{}, &portalocker.LockError{Op: "status", Path: name, Err: fmt.Errorf("redis at %s: %w", c.conn.Address(), err)}
	}
	return s, nil
}

// List gives the Status of every lock and semaphore that somebody holds or waits
// for, by name. It looks at all keys of the server (SCAN), which takes a while on a
// large one, but does not block it.
//
// What stands in the way of one lock, such as another program's data where its record
// belongs, does not hide the others: List gives all that it can read, and with them an
// error that joins a *portalocker.LockError for each that it cannot. Where the list is
// nil the error is of the server, such as ErrUnavailable.
func (c *Client) List(ctx context.Context) ([]Status, error) {
	if c.err != nil {
		return nil, &portalocker.LockError{Op: "list", Path: "*", Err: c.err}
	}
	names := map[string]bool{}
	err := c.conn.Masters(ctx, func(ctx context.Context, node *redis.Client) error {
		keys := node.Scan(ctx, 0, prefix+"{*}:*", 1000).Iterator()
		for keys.Next(ctx) {
			name, ok := nameOf(keys.Val())
			if ok && checkName(name) == nil && slices.Contains(keysOf(name)[:2], keys.Val()) { // owners, queue
				names[name] = true
			}
		}
		return keys.Err()
	})
	if err != nil {
		return nil, &portalocker.LockError{Op: "list", Path: "*", Err: c.conn.Explain(err)}
	}
	all := []Status{} // also where all of them are unreadable
	var unreadable []error
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s, err := c.Status(ctx, name)
		switch {
		case err != nil && !ofOneLock(err):
			return nil, err
		case err != nil:
			unreadable = append(unreadable, err)
		case len(s.Owners) > 0 || s.Waiting > 0:
			all = append(all, s)
		}
	}
	return all, errors.Join(unreadable...)
}

// ofOneLock says whether an error of Status is about the records of the lock, and not
// about the server or the way to it.
func ofOneLock(err error) bool {
	return errors.Is(err, errNonsense) || redisconn.Final(err) && !errors.Is(err, ErrUnavailable)
}

// errNonsense says that a reply is not one of the script: whatever answers is no Redis,
// or the records are not those of this package.
var errNonsense = errors.New("the server's answer makes no sense")

// parseStatus reads the reply of the status script. What cannot be read is an error, and
// not left out: a lock without one of its owners would look free.
func parseStatus(name string, reply []any) (Status, error) {
	if len(reply) != 5 {
		return Status{}, fmt.Errorf("%w: it has %d parts instead of 5", errNonsense, len(reply))
	}
	s := Status{Name: name}
	fence, isText := reply[0].(string)
	waiting, isCount := reply[2].(int64)
	foreign, isCountToo := reply[4].(int64)
	if !isText || !isCount || !isCountToo {
		return Status{}, fmt.Errorf("%w: of a text and two numbers it has %T, %T and %T", errNonsense, reply[0], reply[2], reply[4])
	}
	s.Waiting, s.Foreign = int(waiting), int(foreign)
	var err error
	if fence != "" { // there is none
		if s.Fence, err = strconv.ParseInt(fence, 10, 64); err != nil {
			return Status{}, fmt.Errorf("%w: the fence is %q", errNonsense, fence)
		}
	}
	if s.Owners, err = parsePeers(reply[1]); err != nil {
		return Status{}, err
	}
	if s.Waiters, err = parsePeers(reply[3]); err != nil {
		return Status{}, err
	}
	slices.SortFunc(s.Owners, func(a, b Peer) int { return cmp.Compare(a.Fence, b.Fence) })
	return s, nil
}

// parsePeers reads a list of holder, entry, holder, entry.
func parsePeers(reply any) ([]Peer, error) {
	list, ok := reply.([]any)
	if !ok || len(list)%2 != 0 {
		return nil, fmt.Errorf("%w: a list of pairs is a %T of %d", errNonsense, reply, len(list))
	}
	var peers []Peer
	for i := 0; i < len(list); i += 2 {
		id, isText := list[i].(string)
		entry, isTextToo := list[i+1].(string)
		p, ok := parseEntry(entry)
		if !isText || !isTextToo || !ok {
			return nil, fmt.Errorf("%w: the entry of %q is %q", errNonsense, fmt.Sprint(list[i]), fmt.Sprint(list[i+1]))
		}
		p.ID = id
		peers = append(peers, p)
	}
	return peers, nil
}

// parseEntry reads "fence since mode limit session pid host"; see
// scripts/records.lua.
func parseEntry(entry string) (Peer, bool) {
	f := strings.Fields(entry)
	if len(f) != 7 {
		return Peer{}, false
	}
	fence, err1 := strconv.ParseInt(f[0], 10, 64)
	since, err2 := strconv.ParseInt(f[1], 10, 64)
	permits, err3 := strconv.Atoi(f[3])
	pid, err4 := strconv.Atoi(f[5])
	host, err5 := url.PathUnescape(f[6])
	if errors.Join(err1, err2, err3, err4, err5) != nil {
		return Peer{}, false
	}
	return Peer{Mode: f[2], Permits: permits, Fence: fence, Since: time.UnixMicro(since), PID: pid, Host: host}, true
}
