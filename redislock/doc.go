// Package redislock locks across machines, by a Redis server (6.2 or newer; 7.0 in
// a cluster).
//
// A lock lives in the connection of its holder: when the holder dies it is free at
// once, not after a timeout. Who waits is served in order of arrival, and a release
// hands the lock over in one step. Each holder has a fence, a number that grows
// from holder to holder.
//
//	client := redislock.New(redis.NewClient(&redis.Options{Addr: "localhost:6379"}))
//	defer client.Close()
//	err := client.NewLock("nightly report").Do(ctx, func(ctx context.Context) error {
//		return report(ctx) // ctx ends if the lock is lost
//	})
//
// Locks and semaphores are portalocker.Lockers, as the file locks are.
//
// What no lock over a network can promise: that its holder knows of the loss before
// another one holds. A process that was stopped, or cut off, may go on for a moment
// when it runs again. Lease.Err tells at that moment, and Lease.Fence lets a store
// refuse what comes too late. See docs/redis.md.
package redislock
