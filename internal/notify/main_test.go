package notify_test

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/testproc"
)

// roles is what this test binary can be when a test starts it again. Each entry
// is set by the file that uses it.
var roles = map[string]testproc.Role{
	"open": openRole,
}

func TestMain(m *testing.M) {
	testproc.Main(roles)
	goleak.VerifyTestMain(m)
}

// openRole is a process that has a file open until it is told to close it, and
// then lives on.
func openRole(p *testproc.Peer, args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	p.Say("open")
	if _, ok := p.Hear(); !ok {
		return nil
	}
	if err := f.Close(); err != nil {
		return err
	}
	p.Say("closed")
	_, _ = p.Hear()
	return nil
}

// opener starts another process that has the file open.
func opener(t *testing.T, path string) *testproc.Process {
	t.Helper()
	p := testproc.Start(t, "open", path)
	p.Expect("open")
	return p
}

// newFile makes an empty file and opens it, until the end of the test.
func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(testproc.Folder(t), "file"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() }) // some tests close it themselves
	return f
}

// must fails unless the error is nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
