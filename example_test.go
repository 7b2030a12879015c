package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/portalocker/portalocker"
)

// tempDir makes a directory for an example.
func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

func Example() {
	dir, remove := tempDir()
	defer remove()

	lock := portalocker.New(filepath.Join(dir, "report.lock"))
	err := lock.Do(context.Background(), func(context.Context) error {
		fmt.Println("nobody else makes the report now")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: nobody else makes the report now
}

// A counter in a file that several programs count up.
func ExampleLock() {
	dir, remove := tempDir()
	defer remove()

	lock := portalocker.New(filepath.Join(dir, "counter"), portalocker.WithMode("a+"))
	for range 3 {
		file, err := lock.Acquire(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		count := 0
		_, err = fmt.Fscan(file, &count)
		if err != nil && !errors.Is(err, io.EOF) {
			log.Fatal(err)
		}
		count++
		if err := file.Truncate(0); err != nil {
			log.Fatal(err)
		}
		fmt.Fprintln(file, count)
		fmt.Println(count)
		if err := lock.Release(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 1
	// 2
	// 3
}

// Options given to Acquire hold for that call.
func ExampleLock_Acquire() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "job.lock")

	reader := portalocker.New(path, portalocker.WithFlags(portalocker.Shared))
	if _, err := reader.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}

	lock := portalocker.New(path)
	_, err := lock.Acquire(context.Background(), portalocker.WithTimeout(0))
	fmt.Println("alone:", err == nil)
	_, err = lock.Acquire(context.Background(), portalocker.WithFlags(portalocker.Shared))
	fmt.Println("with others:", err == nil)
	fmt.Println(lock.Release(), reader.Release())
	// Output:
	// alone: false
	// with others: true
	// <nil> <nil>
}

func ExampleLock_Do() {
	dir, remove := tempDir()
	defer remove()

	lock := portalocker.New(filepath.Join(dir, "job.lock"), portalocker.WithTimeout(time.Minute))
	err := lock.Do(context.Background(), func(context.Context) error {
		return errors.New("the disk is full")
	})
	fmt.Println(err)
	// Output: the disk is full
}

// A function that needs the lock calls another one that needs it too.
func ExampleRLock() {
	dir, remove := tempDir()
	defer remove()

	lock := portalocker.NewRLock(filepath.Join(dir, "job.lock"))
	inner := func(context.Context) error {
		fmt.Println("inner")
		return nil
	}
	err := lock.Do(context.Background(), func(ctx context.Context) error {
		fmt.Println("outer")
		return lock.Do(ctx, inner)
	})
	fmt.Println(err)
	fmt.Println(errors.Is(lock.Release(), portalocker.ErrNotHeld))
	// Output:
	// outer
	// inner
	// <nil>
	// true
}

// The file is there for as long as the lock is held.
func ExampleTemporaryFileLock() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "build.lock")

	lock := portalocker.NewTemporaryFileLock(path)
	if _, err := lock.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	_, err := os.Stat(path)
	fmt.Println("held, and the file is there:", err == nil)
	if err := lock.Release(); err != nil {
		log.Fatal(err)
	}
	_, err = os.Stat(path)
	fmt.Println("released, and the file is there:", err == nil)
	// Output:
	// held, and the file is there: true
	// released, and the file is there: false
}

// A service that runs once tells who it is.
func ExamplePIDFileLock() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "service.pid")

	service := portalocker.NewPIDFileLock(path)
	if err := service.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer service.Release() //nolint:errcheck // the example ends

	second := portalocker.NewPIDFileLock(path)
	err := second.Acquire(context.Background())
	var lockErr *portalocker.LockError
	if errors.As(err, &lockErr) && errors.Is(err, portalocker.ErrAlreadyLocked) {
		fmt.Println("runs already, as this process:", lockErr.HolderPID == os.Getpid())
	}
	pid, err := second.ReadPID()
	fmt.Println(pid == os.Getpid(), err)
	// Output:
	// runs already, as this process: true
	// true <nil>
}

// LockFile locks a file that is open already.
func ExampleLockFile() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "data")

	first, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // the example ends
	second, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close() //nolint:errcheck // the example ends

	fmt.Println(portalocker.LockFile(first, portalocker.Exclusive))
	err = portalocker.LockFile(second, portalocker.Shared|portalocker.NonBlocking)
	fmt.Println(errors.Is(err, portalocker.ErrAlreadyLocked))
	fmt.Println(portalocker.UnlockFile(first))
	fmt.Println(portalocker.LockFile(second, portalocker.Shared|portalocker.NonBlocking))
	// Output:
	// <nil>
	// true
	// <nil>
	// <nil>
}

// Code that takes a Locker works with every kind of lock.
func ExampleLocker() {
	dir, remove := tempDir()
	defer remove()

	report := func(lock portalocker.Locker) error {
		return lock.Do(context.Background(), func(context.Context) error {
			fmt.Printf("with a %T\n", lock)
			return nil
		})
	}
	for _, lock := range []portalocker.Locker{
		portalocker.New(filepath.Join(dir, "job.lock")),
		portalocker.NewTemporaryFileLock(filepath.Join(dir, "job.tmp")),
		portalocker.NewPIDFileLock(filepath.Join(dir, "job.pid")),
	} {
		if err := report(lock); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// with a *portalocker.Lock
	// with a *portalocker.TemporaryFileLock
	// with a *portalocker.PIDFileLock
}

// What went wrong is told by errors.Is, and the details by errors.As.
func ExampleLockError() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "job.lock")

	holding := portalocker.New(path)
	if _, err := holding.Acquire(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer holding.Release() //nolint:errcheck // the example ends

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := portalocker.New(path).Acquire(ctx)

	fmt.Println("somebody else has it:", errors.Is(err, portalocker.ErrAlreadyLocked))
	fmt.Println("the context ended:", errors.Is(err, context.DeadlineExceeded))
	var lockErr *portalocker.LockError
	if errors.As(err, &lockErr) {
		fmt.Println(lockErr.Op, filepath.Base(lockErr.Path), lockErr.Waited > 0)
	}
	// Output:
	// somebody else has it: true
	// the context ended: true
	// acquire job.lock true
}
