package redislock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/redislock"
)

// One Client for each server is enough. Closing it releases whatever is still held.
func ExampleClient() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer}) // "localhost:6379"
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	err := client.NewLock("nightly report").Do(context.Background(), func(ctx context.Context) error {
		fmt.Println("writing the report") // ctx ends if the lock is lost
		return nil
	})
	fmt.Println(err)
	// Output:
	// writing the report
	// <nil>
}

func ExampleLock() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer})
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	ctx := context.Background()
	lease, err := client.NewLock("deploy").Acquire(ctx, redislock.WithTimeout(10*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lease.Release(ctx)

	_, err = client.NewLock("deploy").Acquire(ctx, redislock.WithTimeout(0)) // try once
	fmt.Println(errors.Is(err, portalocker.ErrAlreadyLocked))
	// Output: true
}

// Up to three of all the programs that use the name work at a time.
func ExampleSemaphore() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer})
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	ctx := context.Background()
	downloads := client.NewSemaphore("downloads", 3, redislock.WithFailWhenLocked(true))
	for i := range 4 {
		if _, err := downloads.Acquire(ctx); err != nil {
			fmt.Println(i, "must come later")
			continue
		}
		fmt.Println(i, "may begin")
	}
	// Output:
	// 0 may begin
	// 1 may begin
	// 2 may begin
	// 3 must come later
}

// A store that remembers the greatest fence it has seen refuses the write of a
// holder that was stopped, lost the lock, and does not know it yet.
func ExampleLease_Fence() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer})
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	var greatest int64 // in the store, beside the data
	write := func(fence int64, what string) {
		if fence < greatest {
			fmt.Println("refused:", what)
			return
		}
		greatest = fence
		fmt.Println("written:", what)
	}

	ctx := context.Background()
	account := client.NewLock("account 4711")
	first, _ := account.Acquire(ctx)
	write(first.Fence(), "by the first")
	_ = first.Release(ctx)
	second, _ := account.Acquire(ctx)
	write(second.Fence(), "by the second")
	write(first.Fence(), "by the first, too late")
	// Output:
	// written: by the first
	// written: by the second
	// refused: by the first, too late
}

// Readers hold a lock together; who has not said WithShared holds it alone.
func ExampleWithShared() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer})
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	ctx := context.Background()
	read := client.NewLock("catalogue", redislock.WithShared(), redislock.WithTimeout(0))
	write := client.NewLock("catalogue", redislock.WithTimeout(0))
	for _, lock := range []*redislock.Lock{read, read, write} {
		_, err := lock.Acquire(ctx)
		fmt.Println(err == nil)
	}
	// Output:
	// true
	// true
	// false
}

func ExampleClient_Status() {
	rdb := redis.NewClient(&redis.Options{Addr: exampleServer})
	defer rdb.Close()
	client := redislock.New(rdb)
	defer client.Close()

	ctx := context.Background()
	_, _ = client.NewLock("backup").Acquire(ctx)
	status, err := client.Status(ctx, "backup")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, owner := range status.Owners { // each has a PID and a Host as well
		fmt.Println(status.Name, "is held:", owner.Mode)
	}
	fmt.Println(status.Waiting, "wait")
	// Output:
	// backup is held: exclusive
	// 0 wait
}
