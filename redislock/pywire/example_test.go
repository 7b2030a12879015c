package pywire_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock/pywire"
)

// A report that programs in Go and in Python write, one at a time. In Python the other
// side is
//
//	with portalocker.RedisLock('nightly-report'):
//	    report()
func Example() {
	server := miniredis.NewMiniRedis() // in place of a real one
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()

	lock := pywire.New(rdb, "nightly-report", pywire.WithFailWhenLocked(true))
	err := lock.Do(context.Background(), func(ctx context.Context) error {
		// ctx ends if the lock is lost.
		fmt.Println("reporting")
		_, err := lock.Acquire(ctx) // as another program would
		fmt.Println(err)
		fmt.Println(errors.Is(err, portalocker.ErrAlreadyLocked))
		return nil
	})
	fmt.Println(err)
	// Output:
	// reporting
	// acquire nightly-report: already locked by a holder on the channel
	// true
	// <nil>
}

// Readers hold the lock together.
func ExampleWithShared() {
	server := miniredis.NewMiniRedis() // in place of a real one
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	ctx := context.Background()

	lock := pywire.New(rdb, "prices")
	one, err := lock.Acquire(ctx, pywire.WithShared())
	if err != nil {
		fmt.Println(err)
		return
	}
	two, err := lock.Acquire(ctx, pywire.WithShared())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = lock.Acquire(ctx, pywire.WithTimeout(0))
	fmt.Println(err)
	fmt.Println(one.Release(ctx), two.Release(ctx))
	// Output:
	// acquire prices: already locked by 2 readers
	// <nil> <nil>
}
