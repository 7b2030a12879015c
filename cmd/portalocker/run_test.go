package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func TestRunGivesTheStatusOfTheCommand(t *testing.T) {
	path := lockFile(t)
	for _, status := range []int{0, 1, 7, 64, 255} {
		try(t, "run", path, "--", self, "@exit", strconv.Itoa(status)).want(t, status, "", "")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the lock file did not stay: %v", err)
	}
}

func TestRunLeavesTheArgumentsOfTheCommandAlone(t *testing.T) {
	path := lockFile(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{path, "--", self, "@args", "-n", "--", "-x"}, `["-n" "--" "-x"]`},
		{[]string{path, self, "@args", "--shared", "--help"}, `["--shared" "--help"]`},
		{[]string{"--", path, "--", self, "@args", "--"}, `["--"]`},
		{[]string{"-n", "--", path, self, "@args", "--verbose"}, `["--verbose"]`},
		{[]string{path, "--", self, "@args", "", "a b"}, `["" "a b"]`},
	} {
		try(t, append([]string{"run"}, c.args...)...).want(t, 0, c.want, "")
	}
}

func TestRunTellsTheCommandItsLock(t *testing.T) {
	dir := testproc.Folder(t)
	cmd := portalockerCommand("run", "job.lock", "--", self, "@environment", "PORTALOCKER_LOCK", asPortalocker)
	cmd.Dir = dir
	p := startCommand(t, cmd)
	// By the names of the system, which may have a symlink in the path.
	got, err := os.Stat(p.expect(p.out, ""))
	if err != nil {
		t.Fatal(err)
	}
	p.finish().want(t, 0, "1", "")
	if want, err := os.Stat(filepath.Join(dir, "job.lock")); err != nil || !os.SameFile(want, got) {
		t.Errorf("PORTALOCKER_LOCK is another file than the lock, or not absolute (%v)", err)
	}
	pidFile := filepath.Join(dir, "job.pid")
	try(t, "run", "--pid", pidFile, "--", self, "@environment", "PORTALOCKER_LOCK").want(t, 0, pidFile, "")
}

func TestRunConflict(t *testing.T) {
	path, holder := heldLock(t)
	by := "already locked"
	if runtime.GOOS == "linux" {
		by = fmt.Sprintf("already locked by pid %d (", holder.cmd.Process.Pid)
	}
	command := []string{path, "--", self, "@exit", "0"}
	for _, c := range []struct {
		options string
		status  int
		message string
	}{
		{"-n", statusConflict, by},
		{"--nonblock", statusConflict, by},
		{"-w 0", statusConflict, by},
		{"-w .02", statusConflict, "gave up after"},
		{"--timeout=20ms --verbose", statusConflict, ""}, // two lines, see below
		{"-s -n", statusConflict, by},
		{"-n -E 0", 0, by},
		{"-n --conflict-exit-code 255", 255, by},
		{"-w 0.01 -E 75", 75, by},
	} {
		r := try(t, append(append([]string{"run"}, strings.Fields(c.options)...), command...)...)
		if c.message != "" {
			r.want(t, c.status, "", c.message)
		} else if r.status != c.status {
			t.Errorf("%s: %+v", c.options, r)
		}
	}
	if r := holder.finish(); r.status != 0 {
		t.Errorf("the holder ended with %+v", r)
	}
	mustBeFree(t, path)
}

// In this process, for what is left behind in it: TestMain looks for goroutines.
func TestRunCleansUp(t *testing.T) {
	std := streams{os.Stdin, os.Stdout, os.Stderr}
	path := lockFile(t)
	if status := execute([]string{"run", path, "--", self, "@exit", "4"}, std).status; status != 4 {
		t.Errorf("status %d, want 4", status)
	}
	lock := portalocker.New(path)
	if _, err := lock.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := execute([]string{"run", "-w", ".01", path, "--", self, "@exit", "4"}, std).status; status != statusConflict {
		t.Errorf("status %d, want %d", status, statusConflict)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if status := execute([]string{"run", path, "--", "no-such-command-anywhere"}, std).status; status != statusNoCommand {
		t.Errorf("status %d, want %d", status, statusNoCommand)
	}
}

func TestRunShares(t *testing.T) {
	path, holder := heldLock(t, "--shared")
	try(t, "run", "-s", "-n", path, "--", self, "@exit", "5").want(t, 5, "", "")
	try(t, "run", "-x", "-n", path, "--", self, "@exit", "5").want(t, statusConflict, "", "already locked")
	holder.finish().want(t, 0, "", "")
}

func TestRunWaits(t *testing.T) {
	path, holder := heldLock(t)
	waiter := start(t, "run", "--verbose", path, "--", self, "@exit", "4")
	waiting := waiter.expect(waiter.err, "portalocker: acquire "+path+": already locked")
	if !strings.HasSuffix(waiting, "; waiting without limit") {
		t.Errorf("the wait began with %q", waiting)
	}
	if pid := strconv.Itoa(holder.cmd.Process.Pid); runtime.GOOS == "linux" && !strings.Contains(waiting, "pid "+pid) {
		t.Errorf("pid %s is not in %q", pid, waiting)
	}
	limited := start(t, "run", "--verbose", "-w", "1h", path, "--", self, "@exit", "5")
	if waiting := limited.expect(limited.err, "portalocker: acquire "); !strings.HasSuffix(waiting, "; waiting at most 1h0m0s") {
		t.Errorf("the wait began with %q", waiting)
	}
	holder.finish().want(t, 0, "", "")
	for p, status := range map[*process]int{waiter: 4, limited: 5} {
		p.expect(p.err, fmt.Sprintf("portalocker: got the lock %q after ", path))
		p.expect(p.err, fmt.Sprintf("portalocker: running [%q \"@exit\"", self))
		p.finish().want(t, status, "", "")
	}
}

func TestRunPassesTheStreamsOn(t *testing.T) {
	p := start(t, "run", lockFile(t), "--", self, "@hold")
	p.ready()
	// @hold ends when its standard input does, and it has that from here.
	p.finish().want(t, 0, "", "")
}

func TestRunTemp(t *testing.T) {
	path, holder := heldLock(t, "--temp")
	try(t, "run", "--temp", "-n", path, "--", self, "@exit", "0").want(t, statusConflict, "", "already locked")
	waiter := start(t, "run", "--temp", "--verbose", path, "--", self, "@exit", "3")
	waiter.expect(waiter.err, "portalocker: acquire ") // does not fail at once, as the library's kind does
	holder.finish().want(t, 0, "", "")
	if r := waiter.finish(); r.status != 3 {
		t.Errorf("the waiter ended with %+v", r)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestRunPID(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "job.pid")
	holder := start(t, "run", "--pid", path, "--", self, "@hold")
	holder.ready()
	pid := strconv.Itoa(holder.cmd.Process.Pid)
	if content, err := os.ReadFile(path); string(content) != pid {
		t.Errorf("the PID file holds %q (%v), want %q", content, err, pid)
	}
	try(t, "run", "--pid", "-n", path, "--", self, "@exit", "0").want(t, statusConflict, "", "already locked by pid "+pid)
	waiter := start(t, "run", "--pid", "--verbose", path, "--", self, "@cat", path)
	waiter.expect(waiter.err, "portalocker: acquire ")
	holder.finish().want(t, 0, "", "")
	waiter.expect(waiter.out, strconv.Itoa(waiter.cmd.Process.Pid)+" <nil>")
	if r := waiter.finish(); r.status != 0 {
		t.Errorf("the waiter ended with %+v", r)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestRunPIDFileThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(testproc.Folder(t), "job.pid")
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	try(t, "run", "--pid", path, "--", self, "@exit", "0").want(t, statusNoInput, "", "it is a directory")
}

func TestRunUsage(t *testing.T) {
	path := lockFile(t)
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{}, "no command given; see 'portalocker --help'"},
		{[]string{"walk"}, `unknown command "walk"`},
		{[]string{"--walk"}, "unknown flag: --walk"},
		{[]string{"run"}, "no LOCK given; see 'portalocker run --help'"},
		{[]string{"run", "--"}, "no LOCK given"},
		{[]string{"run", path}, "no COMMAND given"},
		{[]string{"run", path, "--"}, "no COMMAND given"},
		{[]string{"run", "", "--", "true"}, "LOCK is an empty string"},
		{[]string{"run", "--walk", path, "true"}, "unknown flag: --walk"},
		{[]string{"run", "-c", "true", path, "true"}, "not both"},
		{[]string{"run", "-c", "", path}, "empty string"},
		{[]string{"run", path, "-c"}, "takes one STRING"},
		{[]string{"run", path, "-c", ""}, "empty string"},
		{[]string{"run", path, "-c", "true", "true"}, "takes one STRING"},
		{[]string{"run", "-c", "true", path, "-c", "true"}, "takes one STRING"},
		{[]string{"run", "-s", "-x", path, "true"}, "--shared and --exclusive"},
		{[]string{"run", "-n", "-w", "1", path, "true"}, "--nonblock and --timeout"},
		{[]string{"run", "--temp", "--pid", path, "true"}, "--temp and --pid"},
		{[]string{"run", "--shared", "--pid", path, "true"}, "--pid and --shared"},
		{[]string{"run", "-F", "-o", path, "true"}, "nobody would hold the lock"},
		{[]string{"run", "-F", "--temp", path, "true"}, "nobody would be left to remove"},
		{[]string{"run", "-F", "--pid", path, "true"}, "nobody would be left to remove"},
		{[]string{"run", "-E", "256", path, "true"}, "from 0 to 255"},
		{[]string{"run", "-E", "-1", path, "true"}, "from 0 to 255"},
		{[]string{"run", "-E", "one", path, "true"}, "from 0 to 255"},
		{[]string{"run", "-w", "soon", path, "true"}, "use seconds"},
		{[]string{"run", "--mechanism", "magic", path, "true"}, "use one of flock, ofd, posix"},
	} {
		try(t, c.args...).want(t, statusUsage, "", c.message)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("wrong usage touched files: %v (%v)", left, err)
	}
}

func TestRunMechanisms(t *testing.T) {
	has := map[string]string{"linux": "flock ofd posix", "windows": "", "solaris": "posix", "aix": "posix"}
	here, ok := has[runtime.GOOS]
	if !ok {
		here = "flock posix"
	}
	for _, m := range mechanisms {
		if !strings.Contains(here, m.String()) {
			try(t, "run", "--mechanism", m.String(), lockFile(t), "--", self, "@exit", "0").
				want(t, statusUsage, "", fmt.Sprintf("%s has no %s locks (leave out --mechanism)", runtime.GOOS, m))
			continue
		}
		path, holder := heldLock(t, "--mechanism", m.String())
		try(t, "run", "-n", "--mechanism", m.String(), path, "--", self, "@exit", "0").want(t, statusConflict, "", "already locked")
		holder.finish().want(t, 0, "", "")
		mustBeFree(t, path)
	}
}

func TestRunCannotOpen(t *testing.T) {
	missing := filepath.Join(testproc.Folder(t), "missing", "job.lock")
	for _, option := range []string{"-n", "--temp", "--pid"} {
		try(t, "run", option, missing, "--", self, "@exit", "0").want(t, statusNoInput, "", "the folder of a lock file must exist")
	}
}

func TestRunCannotExecute(t *testing.T) {
	path := lockFile(t)
	try(t, "run", path, "--", "no-such-command-anywhere").
		want(t, statusNoCommand, "", `cannot execute "no-such-command-anywhere": executable file not found in `)
	try(t, "run", path, "--", testproc.Folder(t)).want(t, statusNoCommand, "", "cannot execute")
	try(t, "run", path, "--", "").want(t, statusNoCommand, "", "cannot execute")
	mustBeFree(t, path)
}

func TestRunDoesNotChangeTheLockFile(t *testing.T) {
	path := lockFile(t)
	const content = "not to be touched\n"
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	try(t, "run", path, "--", self, "@exit", "0").want(t, 0, "", "")
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); string(got) != content {
		t.Errorf("the file is now %q (%v)", got, err)
	}
	if attributes := func(i fs.FileInfo) string { return fmt.Sprint(i.Mode(), i.ModTime(), i.Size()) }; attributes(before) != attributes(after) {
		t.Errorf("was %s, is %s", attributes(before), attributes(after))
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"run", "--help"}, {"help", "run"}, {"run", "-h"}} {
		r := try(t, args...)
		r.want(t, 0, "Examples:\n  portalocker run ", "")
	}
	for _, cmd := range newRoot(streams{}).Commands() {
		r := try(t, "help", cmd.Name())
		if r.status != 0 || !strings.Contains(r.out, "Examples:\n  ") {
			t.Errorf("%s: without an example: %+v", cmd.Name(), r)
		}
		for line := range strings.Lines(r.out) {
			if len(line) > 100 { // does not fit many a terminal
				t.Errorf("%s: %d columns: %s", cmd.Name(), len(line), line)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"--version", "-V"} {
		try(t, flag).want(t, 0, "portalocker ", "")
		try(t, flag).want(t, 0, runtime.GOOS+"/"+runtime.GOARCH, "")
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		try(t, "completion", shell).want(t, 0, "portalocker", "")
	}
	const files, nothing = ":0\n", ":4\n" // cobra.ShellCompDirectiveDefault and -NoFileComp
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ru"}, "run\tHold a lock"},
		{[]string{"run", "--mechanism", ""}, "flock\tflock(2)"},
		{[]string{"run", "--mechanism", "o"}, "ofd\t"},
		{[]string{"run", "--mechanism", ""}, nothing},
		{[]string{"run", "--timeout", ""}, nothing},
		{[]string{"run", "--no"}, "--nonblock\t"},
		{[]string{"run", ""}, files},
		{[]string{"run", "job.lock", "--", ""}, files},
	} {
		r := start(t, append([]string{"__complete"}, c.args...)...).finish()
		if r.status != 0 || !strings.Contains(r.out, c.want) {
			t.Errorf("%q: got %+v, want %q", c.args, r, c.want)
		}
	}
}
