package pywire_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/testproc"
)

// roles is what this test binary can be when a test starts it again. Each entry
// is set by the file that uses it.
var roles = map[string]testproc.Role{}

func TestMain(m *testing.M) {
	testproc.Main(roles)
	goleak.VerifyTestMain(m)
}
