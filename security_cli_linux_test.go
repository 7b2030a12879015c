package portalocker_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/portalocker/portalocker/internal/testproc"
)

// program builds the command line.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portalocker")
	build := exec.Command(testproc.Tool(t, "go", "the command line is built with it"), "build", "-o", path, "./cmd/portalocker")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// ran runs the program, and gives its exit status and all that it wrote.
func ran(t *testing.T, path string, args ...string) (status int, said string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader("mine")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := inTime(t, cmd.Run)
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestCommandLinePlanted: the command line does to what a stranger has planted what the
// package does: nothing. The command under the lock is not run.
func TestCommandLinePlanted(t *testing.T) {
	portalocker := program(t)
	for _, p := range plants {
		for _, args := range [][]string{
			{"run", "--pid", "PATH.pid", "--", "touch", "RAN"},
			{"run", "--temp", "PATH", "--", "touch", "RAN"},
			{"run", "--slots", "1", "--directory", "DIR", "x", "--", "touch", "RAN"},
			{"write", "PATH"},
		} {
			t.Run(p.name+"/"+strings.Join(args[:2], " "), func(t *testing.T) {
				dir := stickyDir(t)
				home, victim := precious(t)
				for _, name := range []string{"x", "x.00.lock", "x.pid.lock"} {
					p.plant(t, filepath.Join(dir, name), victim)
				}
				before, beforeHome := snapshot(t, dir), snapshot(t, home)
				names := strings.NewReplacer("PATH", filepath.Join(dir, "x"), "RAN", filepath.Join(home, "ran"), "DIR", dir)
				var real []string
				for _, arg := range args {
					real = append(real, names.Replace(arg))
				}
				status, said := ran(t, portalocker, real...)
				if status == 0 || status == 1 { // 1: locked
					t.Errorf("status %d: %s", status, said)
				}
				mustBePlain(t, said)
				unchanged(t, dir, before)
				unchanged(t, home, beforeHome)
			})
		}
	}
}

// TestCommandLineNames: what strangers have called their processes and files reaches the
// terminal in quotes.
func TestCommandLineNames(t *testing.T) {
	portalocker := program(t)
	dir := stickyDir(t)
	for i, name := range []string{"plain", "\x1b[31mred", "a\nline", "\a\r\b", "\u009b31m", "\u202eleft", "\xff\xfe"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(i)+name)
			asStranger(t, newFile(t, path, "", 0o666))
			link := filepath.Join(dir, fmt.Sprint(i)+"link"+name)
			must(t, os.Symlink("nothing", link))
			attacker(t, "lock", path)
			for _, args := range [][]string{
				{"ls", path}, {"ls"}, {"ls", "--json", path}, {"run", "-n", path, "--", "true"}, {"run", "-w", "0.01", path, "--", "true"},
				{"run", "--verbose", "-w", "0.01", path, "--", "true"}, {"ls", link}, {"run", "--temp", link, "--", "true"}, {"write", link},
				{"flock", link + "/x", "true"},
			} {
				status, said := ran(t, portalocker, args...)
				if said == "" {
					t.Errorf("%q says nothing, status %d", args, status)
				}
				mustBePlain(t, said)
			}
		})
	}
}

// mustBePlain fails if a text would speak to a terminal.
func mustBePlain(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q would speak to the terminal", line)
		}
	}
}
