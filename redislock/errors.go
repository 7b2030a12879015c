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

	// ErrForeignPeers says that Python programs use portalocker.RedisLock on a
	// channel of that name. Those and the locks of this package do not see each other:
	// use package pywire for this name, or another name.
	ErrForeignPeers = errors.New("foreign peers: Python portalocker has locks of this name, which do not see this one: use package redislock/pywire (--pywire) to exclude them, or another name")

	// ErrClosed says that the Client was closed.
	ErrClosed = errors.New("the client was closed")
)

// errVanished says that the record of a lock has gone though its session is alive.
var errVanished = fmt.Errorf("%w: the server has no record of it any more; was it deleted, or evicted (maxmemory-policy)?", ErrLost)
