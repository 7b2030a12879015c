package portalocker_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/portalocker/portalocker"
)

// At most two conversions at a time, whichever programs start them.
func ExampleNamedBoundedSemaphore() {
	dir, remove := tempDir()
	defer remove()

	convert := func() *portalocker.NamedBoundedSemaphore {
		return portalocker.NewNamedBoundedSemaphore(2, "convert", portalocker.WithDirectory(dir))
	}
	ctx := context.Background()
	first, second, third := convert(), convert(), convert()
	for _, s := range []*portalocker.NamedBoundedSemaphore{first, second} {
		if _, err := s.Acquire(ctx); err != nil {
			log.Fatal(err)
		}
	}
	_, err := third.Acquire(ctx)
	fmt.Println(errors.Is(err, portalocker.ErrAlreadyLocked), err)

	if err := first.Release(); err != nil {
		log.Fatal(err)
	}
	err = third.Do(ctx, func(context.Context) error {
		fmt.Println("the third has the slot that is free now")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := second.Release(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// true acquire convert: all 2 slots are taken: already locked
	// the third has the slot that is free now
}
