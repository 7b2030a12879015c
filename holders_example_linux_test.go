package portalocker_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/portalocker/portalocker"
)

func ExampleHolders() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("portalocker-example-%d.lock", os.Getpid()))
	lock := portalocker.NewTemporaryFileLock(path)
	err := lock.Do(context.Background(), func(context.Context) error {
		holders, err := portalocker.Holders(path)
		for _, h := range holders {
			fmt.Println("this process:", h.PID == os.Getpid())
			fmt.Println("exclusive:", h.Mode == portalocker.Exclusive)
			fmt.Println("by", h.Mechanism)
			fmt.Println("waits:", h.Waiting)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// this process: true
	// exclusive: true
	// by flock
	// waits: false
}
