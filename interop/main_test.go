//go:build unix

package interop

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/testproc"
)

// roles is what this test binary can be when a test starts it again.
var roles = map[string]testproc.Role{
	"peer": peerRole,
}

func TestMain(m *testing.M) {
	testproc.Main(roles)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if err := writeTables(); err != nil {
			fmt.Fprintf(os.Stderr, "writing the table: %v\n", err)
			status = max(status, 1)
		}
		os.Exit(status)
	}))
}
