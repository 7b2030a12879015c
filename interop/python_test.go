//go:build unix

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// pythonVariable names the folder with an environment for each version.
const pythonVariable = "PORTALOCKER_TEST_PYTHON"

// side is one of the two programs that meet over a lock.
type side struct {
	name  string
	start func(t *testing.T, kind, path string, args ...string) *testproc.Process
}

// goSide is this package, in a process of its own.
var goSide = side{name: "Go", start: func(t *testing.T, kind, path string, args ...string) *testproc.Process {
	t.Helper()
	return testproc.Start(t, "peer", append([]string{kind, path}, args...)...)
}}

// pythonSide is a version of Python portalocker.
func pythonSide(version string) side {
	return side{name: "Python", start: func(t *testing.T, kind, path string, args ...string) *testproc.Process {
		t.Helper()
		// -I keeps this shell's PYTHON variables and folder out.
		words := append([]string{"-I", "peer.py", kind, path}, args...)
		return testproc.StartCmd(t, exec.Command(interpreter(version), words...))
	}}
}

// interpreter is the Python of a version's environment.
func interpreter(version string) string {
	return filepath.Join(os.Getenv(pythonVariable), version, "bin", "python")
}

// pinnedVersions are the versions to test against, in their order.
func pinnedVersions() ([]string, error) {
	files, err := filepath.Glob("requirements/*.txt")
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, file := range files {
		versions = append(versions, strings.TrimSuffix(filepath.Base(file), ".txt"))
	}
	slices.SortFunc(versions, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
	return versions, nil
}

// pythonVersions are the versions to test against; without their environments the
// test is skipped.
func pythonVersions(t *testing.T) []string {
	t.Helper()
	advice := "run interop/venvs FOLDER, and then PORTALOCKER_TEST_PYTHON=FOLDER go test ./interop"
	if os.Getenv(pythonVariable) == "" {
		testproc.Skip(t, "python", advice)
	}
	versions, err := pinnedVersions()
	if err != nil {
		t.Fatal(err)
	}
	if len(versions) == 0 {
		t.Fatal("requirements/ has no versions")
	}
	for _, version := range versions {
		if _, err := os.Stat(interpreter(version)); err != nil {
			t.Fatalf("%s has no environment for portalocker %s (%v): %s", pythonVariable, version, err, advice)
		}
	}
	return versions
}

// before says whether a version comes before another.
func before(version, other string) bool {
	return slices.Compare(numbers(version), numbers(other)) < 0
}

func numbers(version string) []int {
	var numbers []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic("no version: " + version)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// Each environment has the release that its name says.
func TestVersions(t *testing.T) {
	for _, version := range pythonVersions(t) {
		out, err := exec.Command(interpreter(version), "-I", "-c", "import portalocker; print(portalocker.__version__)").Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(out)); got != version {
			t.Errorf("the environment %s has portalocker %s", version, got)
		}
	}
}
