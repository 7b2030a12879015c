package oslock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/oslock"
	"github.com/portalocker/portalocker/internal/testproc"
)

// roles is what this test binary can be when a test starts it again. Each entry
// is set by the file that uses it.
var roles = map[string]testproc.Role{
	"hold": holdRole,
}

func TestMain(m *testing.M) {
	testproc.Main(roles)
	goleak.VerifyTestMain(m)
}

// available gives the mechanisms of this platform.
func available(t *testing.T) (ms []oslock.Mechanism) {
	t.Helper()
	for m := oslock.Default + 1; m < oslock.Mechanisms; m++ {
		if _, err := oslock.Resolve(m); err == nil {
			ms = append(ms, m)
		}
	}
	if len(ms) == 0 {
		t.Skip("this platform has no locks")
	}
	return ms
}

// overMechanisms runs a test with every mechanism of this platform.
func overMechanisms(t *testing.T, test func(t *testing.T, m oslock.Mechanism)) {
	t.Helper()
	for _, m := range available(t) {
		t.Run(m.String(), func(t *testing.T) { test(t, m) })
	}
}

// holdRole is a process with one open file, which it locks as it is told; its
// arguments are the mechanism and the path. A command is one of
//
//	try MODE     block MODE     unlock     end
//
// and is answered with "ok", "locked" or "error ...".
func holdRole(p *testproc.Peer, args []string) error {
	m, err := mechanism(args[0])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the process ends
	fd := f.Fd()
	for {
		command, ok := p.Hear()
		if !ok || command == "end" {
			return nil
		}
		verb, how, _ := strings.Cut(command, " ")
		mode := oslock.Exclusive
		if how == "shared" {
			mode = oslock.Shared
		}
		switch verb {
		case "try":
			err = oslock.Try(fd, m, mode)
		case "block":
			err = oslock.Block(fd, m, mode)
		case "unlock":
			err = oslock.Unlock(fd, m)
		default:
			return fmt.Errorf("no command %q", command)
		}
		switch {
		case err == nil:
			p.Say("ok")
		case errors.Is(err, oslock.ErrLocked):
			p.Say("locked")
		default:
			p.Say("error %v", err)
		}
	}
}

func mechanism(name string) (oslock.Mechanism, error) {
	for m := oslock.Default; m < oslock.Mechanisms; m++ {
		if m.String() == name {
			return m, nil
		}
	}
	return 0, fmt.Errorf("no mechanism %q", name)
}

// start starts another process that has the file open.
func start(t *testing.T, m oslock.Mechanism, path string) *testproc.Process {
	t.Helper()
	return testproc.Start(t, "hold", m.String(), path)
}

// ask sends a command, and fails unless the answer is as expected.
func ask(t *testing.T, p *testproc.Process, command, answer string) {
	t.Helper()
	p.Say("%s", command)
	if got := p.Hear(); got != answer {
		t.Fatalf("%s in another process: %s, not %s", command, got, answer)
	}
}

// newFile makes an empty file.
func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testproc.Folder(t), "file")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens the file once more, until the end of the test. It is unlocked then:
// with POSIX a lock whose descriptor just goes away is a test of its own.
func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // where the test has not done so itself
		_ = oslock.Unlock(f.Fd(), oslock.POSIX)
		_ = f.Close()
	})
	return f
}

// must fails unless the error is nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBeLocked fails unless the error says that somebody else has the lock.
func mustBeLocked(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, oslock.ErrLocked) {
		t.Fatalf("got %v, not %v", err, oslock.ErrLocked)
	}
}
