package redislock

import (
	"errors"
	"fmt"

	"github.com/portalocker/portalocker/internal/redisconn"
)

var (
	// ErrLost says that a lock was held and is not any more, though it was not
	// released.
	ErrLost = errors.New("the lock is lost")

	// ErrUnavailable says that the server could not be asked, or could not answer:
	// unreachable, still loading, full, a replica, a user without the rights. Nothing
	// is known of the lock then; it is neither locked nor free.
	ErrUnavailable = redisconn.ErrUnavailable

	// ErrForeignPeers says that somebody is on the channel of that name, as those are who
	// use Python's portalocker.RedisLock, or package pywire. Their locks and those of
	// this package do not see each other: use package pywire for this name, or another
	// name.
	ErrForeignPeers = errors.New("foreign peers: somebody uses this name by the protocol of Python portalocker, whose locks do not see this one: use package redislock/pywire (--pywire) too, or another name")

	// ErrClosed says that the Client was closed.
	ErrClosed = errors.New("the client was closed")
)

// errVanished says that the record of a lock has gone though its session is alive.
var errVanished = fmt.Errorf("%w: the server has no record of it any more; was it deleted, or evicted (maxmemory-policy)?", ErrLost)
