package testproc

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// requireVariable lists, separated by commas, the tools whose absence fails a
// test instead of skipping it. CI sets it.
const requireVariable = "PORTALOCKER_TEST_REQUIRE"

// Tool finds a program. Without it the test is skipped, with advice, or fails
// where the environment says that the tool must be there.
func Tool(t testing.TB, name, advice string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, name, advice)
	}
	return path
}

// Skip skips a test that needs what is not here, or fails it where the
// environment says that it must be.
func Skip(t testing.TB, what, advice string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv(requireVariable), ","), what) {
		t.Fatalf("%s is missing, and %s names it: %s", what, requireVariable, advice)
	}
	t.Skipf("%s is missing: %s", what, advice)
}
