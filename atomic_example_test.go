package portalocker_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/portalocker/portalocker"
)

// A report that others read at any moment: they find the whole old one or the whole
// new one.
func ExampleOpenAtomic() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "report.csv")

	report := func() error {
		f, err := portalocker.OpenAtomic(path, portalocker.WithReplace())
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // after Commit it does nothing, and before it gives up

		w := csv.NewWriter(f)
		if err := w.WriteAll([][]string{{"name", "count"}, {"apples", "3"}}); err != nil {
			return err // nothing was published
		}
		return f.Commit()
	}
	if err := report(); err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(content))
	// Output:
	// name,count
	// apples,3
}

// Of several programs that want to write a file, one does.
func ExampleWriteFileAtomic() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "leader")

	for _, name := range []string{"first", "second"} {
		err := portalocker.WriteFileAtomic(path, []byte(name), 0o644)
		switch {
		case errors.Is(err, fs.ErrExist):
			fmt.Println(name, "comes too late")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(name, "wrote it")
		}
	}
	// Output:
	// first wrote it
	// second comes too late
}

// A configuration is replaced, and keeps its permissions.
func ExampleWithReplace() {
	dir, remove := tempDir()
	defer remove()
	path := filepath.Join(dir, "config")

	for _, config := range []string{"colour = red", "colour = blue"} {
		err := portalocker.WriteFileAtomic(path, []byte(config), 0o600, portalocker.WithReplace())
		if err != nil {
			log.Fatal(err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(content))
	// Output: colour = blue
}
