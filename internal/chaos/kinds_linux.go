package main

import (
	"slices"
	"time"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// ttl is how long a lease lasts: short, so that a campaign sees many run out.
const ttl = time.Second

// kind is a kind of lock. The campaign has one of each, whose name in the histories is
// that of the kind.
type kind struct {
	name     string
	readers  bool // may be held shared
	permits  int  // holders of a semaphore
	ordered  bool // waits by events alone, with a safety net that grows (see wait.go)
	liveness redislock.Liveness
	free     bool // excludes nobody: reads and writes of an atomic file
	acquire  func(w *worker, k *kind, how request) (held, error)
}

var kinds = []*kind{
	{name: "flock", readers: true, ordered: true, acquire: plain(portalocker.Flock)},
	{name: "ofd", readers: true, acquire: plain(portalocker.OFD)},
	{name: "posix", readers: true, acquire: plain(portalocker.POSIX)},
	{name: "rlock", readers: true, ordered: true, acquire: counted},
	{name: "temporary", ordered: true, acquire: temporary},
	{name: "pid", ordered: true, acquire: pidFile},
	{name: "named", permits: 3, ordered: true, acquire: semaphore(named)},
	{name: "bounded", permits: 2, ordered: true, acquire: semaphore(bounded)},
	{name: "atomic", free: true, acquire: atomicFile},
	{name: "redis", readers: true, liveness: redislock.Connected, acquire: onServer},
	{name: "permits", permits: 3, liveness: redislock.Connected, acquire: onServer},
	{name: "lease", readers: true, liveness: redislock.LeaseOnly, acquire: onServer},
}

// kindOf finds a kind by its name.
func kindOf(name string) *kind {
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })
	return kinds[i] // the names in histories come from the list
}

// fileKinds are the ones that need no server.
func fileKinds() []*kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k *kind) bool { return k.liveness != "" })
}

// capacity is how many may hold a lock beside each other, whatever their modes.
func (k *kind) capacity() int { return max(k.permits, 1) }

// together says whether a holder of one mode may be beside another one.
func (k *kind) together(a, b string) bool {
	return k.free || a == b && a != "exclusive"
}
