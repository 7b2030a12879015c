// Package pywire is the lock of Python portalocker's RedisLock: Go and Python
// programs that use the same channel exclude each other.
//
//	lock := pywire.New(redis.NewClient(&redis.Options{Addr: "localhost:6379"}), "nightly-report")
//	err := lock.Do(ctx, func(ctx context.Context) error {
//		return report(ctx) // ctx ends if the lock is lost
//	})
//
// It is for programs that share a lock with Python. Among Go programs package
// redislock is better: there Redis decides, in order of arrival, without polling, and
// a holder has a fence. Here the contenders agree among themselves, those who wait
// ask again every check interval, nobody is promised a turn, and there is no fence,
// for the protocol has none. The locks of the two packages do not see each other.
//
// Who takes part in a lock is subscribed to the channel of its name, on a connection
// of its own; nothing is stored. So a holder that dies is gone as soon as Redis sees
// its connection end. A holder that is alive but does not answer, because it was
// stopped or because its link is dead, is cut off by the next contender, after the
// unavailable timeout. A connection that breaks is never opened again for the same
// holder: the lock is lost, and Lease.Lost, Lease.Context and Lease.Err say so.
//
// With Python portalocker before 4.2 the exclusion is no better than that version is:
// some of those grant themselves the lock although another one has answered that it
// holds it, and subscribe again without a word after they were cut off.
// docs/python.md says which version is safe with what.
package pywire
