// Package portalocker locks files between processes, on Linux, macOS, other Unix
// and Windows.
//
// Lock is what most programs want; choose by what is to happen to the file:
//
//   - Lock locks a file that stays, RLock one that its holder may lock again.
//   - TemporaryFileLock removes the file with the lock.
//   - PIDFileLock writes down who has the lock.
//   - NamedBoundedSemaphore lets a number of holders in at a time.
//   - LockFile and UnlockFile lock a file that is open already.
//   - OpenAtomic and WriteFileAtomic publish a file complete or not at all.
//   - Holders tells who has a lock, and who waits for it.
//
// Package redislock locks names on a Redis server, for programs on several machines.
//
// All locks on files exclude, and are excluded by, every program that locks the same file
// by the same mechanism: flock(1), Python's portalocker and fcntl.flock, and so on.
// On Unix locks are advisory: programs that do not lock are not kept out.
//
// # What is guaranteed
//
// A lock ends with its holder: the system drops it when the process dies, however
// it dies. Release gives it back at once, also while other goroutines fork.
// Waiting does not poll where the system can tell of a release (on Linux: inotify
// on local filesystems); elsewhere it tries again after 1 ms, 2 ms and so on up to
// the check interval. No OS thread is parked by a wait, and a context ends it at
// any moment. Goroutines of one process are served first in, first out; on Linux's
// local filesystems so are processes that wait with this package.
//
// # What is not
//
// Nobody is kept from removing or replacing a lock file by hand, and who does so
// breaks the lock. Over NFS and SMB a lock is as good as the server's lock
// manager; a partition can end it unnoticed.
package portalocker
