package portalocker_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/portalocker/portalocker/internal/testproc"
)

// TestDependencies: who imports this package compiles the standard library and
// golang.org/x/sys besides this module, on every system.
func TestDependencies(t *testing.T) {
	goCommand := testproc.Tool(t, "go", "it comes with Go; put it in the PATH")
	for _, system := range []string{"linux/amd64", "linux/386", "darwin/arm64", "windows/amd64", "freebsd/amd64", "openbsd/amd64",
		"netbsd/amd64", "dragonfly/amd64", "illumos/amd64", "solaris/amd64", "aix/ppc64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		list := exec.CommandContext(t.Context(), goCommand, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
		list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%s: %v", system, err)
		}
		packages := strings.Fields(string(out))
		if len(packages) < 3 { // itself, internal/oslock, internal/notify
			t.Fatalf("%s: only %v", system, packages)
		}
		for _, path := range packages {
			const module = "github.com/portalocker/portalocker"
			own := path == module || strings.HasPrefix(path, module+"/internal/")
			if !own && !strings.HasPrefix(path, "golang.org/x/sys/") {
				t.Errorf("%s: %s gets into every user's build", system, path)
			}
			if strings.Contains(path, "test") {
				t.Errorf("%s: %s is for tests", system, path)
			}
		}
	}
}
