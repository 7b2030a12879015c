package pywire_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/redistest"
	"github.com/portalocker/portalocker/internal/testproc"
)

// pythonVariable names the folder with an environment for each version of Python
// portalocker; interop/venvs makes it.
const pythonVariable = "PORTALOCKER_TEST_PYTHON"

// versions are the environments in the folder. Without it the test is skipped.
func versions(t *testing.T) []string {
	t.Helper()
	advice := "run interop/venvs FOLDER, and then PORTALOCKER_TEST_PYTHON=FOLDER go test ./redislock/pywire"
	folder := os.Getenv(pythonVariable)
	if folder == "" {
		testproc.Skip(t, "python", advice)
	}
	found, err := filepath.Glob(filepath.Join(folder, "*", "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s=%s has no environments: %s", pythonVariable, folder, advice)
	}
	var names []string
	for _, python := range found {
		names = append(names, filepath.Base(filepath.Dir(filepath.Dir(python))))
	}
	return names
}

// eachVersion runs a test against every version.
func eachVersion(t *testing.T, test func(t *testing.T, version string)) {
	for _, version := range versions(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// python starts testdata/peer.py.
func python(t *testing.T, version string, s *redistest.Server, channel string, words ...string) *testproc.Process {
	t.Helper()
	_, port, _ := strings.Cut(s.Addr(), ":")
	interpreter := filepath.Join(os.Getenv(pythonVariable), version, "bin", "python")
	// -I keeps this shell's PYTHON variables and folder out.
	args := append([]string{"-I", "-u", filepath.Join("testdata", "peer.py"), port, channel}, words...)
	return testproc.StartCmd(t, exec.Command(interpreter, args...))
}
