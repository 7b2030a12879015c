package redistest_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/testproc"
)

// roles is what this test binary can be when a test starts it again. Each entry
// is set by the file that uses it.
var roles = map[string]testproc.Role{
	"server": serverRole,
}

// patience is how long a test waits for what must happen: far longer than
// anything takes, so that only a hang meets it.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	testproc.Main(roles)
	goleak.VerifyTestMain(m)
}

// soon is a context that ends when nothing can have come.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// must fails unless the error is nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
