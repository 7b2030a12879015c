package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portalocker/portalocker/internal/testproc"
)

// asPortalocker in the environment makes the test binary be portalocker. An
// argument that begins with "@" makes it one of the commands below instead.
const asPortalocker = "PORTALOCKER_TEST_MAIN"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "@") {
		os.Exit(commands[os.Args[1]](os.Args[2:]))
	}
	if os.Getenv(asPortalocker) != "" {
		main()
	}
	// Where nohup or the like has started the tests, what they start would ignore
	// SIGHUP too. A signal that is handled is back at its default there.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	goleak.VerifyTestMain(m)
}

// commands are what portalocker runs in these tests.
var commands = map[string]func(args []string) int{
	"@hold": hold,
	"@exit": func(args []string) int {
		status, _ := strconv.Atoi(args[0])
		return status
	},
	"@args": func(args []string) int {
		fmt.Printf("%q\n", args)
		return 0
	},
	"@cat": func(args []string) int {
		content, err := os.ReadFile(args[0])
		fmt.Printf("%s %v\n", content, err)
		return 0
	},
	"@environment": func(args []string) int {
		for _, name := range args {
			fmt.Println(os.Getenv(name))
		}
		return 0
	},
	// Leaves a process behind that has all that this one inherited.
	"@background": func([]string) int {
		cmd := exec.Command(os.Args[0], "@hold")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
		return 0
	},
}

// hold says that it runs, and ends with its standard input.
func hold([]string) int {
	fmt.Println("ready", os.Getpid())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 1
	}
	return 0
}

// patience is after what time a test has failed that waits for a process.
const patience = time.Minute

// self is the test binary, to be run as a command.
var self = os.Args[0]

// process is a portalocker under test.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	in       *os.File
	out, err *stream
	ended    bool
}

// stream is what a process says.
type stream struct {
	file *os.File
	*bufio.Reader
}

type result struct {
	status   int // -1 after a signal
	out, err string
}

// start runs portalocker.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, portalockerCommand(args...))
}

// portalockerCommand is the command that runs it.
func portalockerCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asPortalocker+"=1", "PORTALOCKER_LOCK=from outside",
		"GORACE=atexit_sleep_ms=0") // with the race detector every process would take a second longer to end
	return cmd
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd}
	var stdin, stdout, stderr *os.File
	stdin, p.in = pipe(t)
	p.out, stdout = newStream(t)
	p.err, stderr = newStream(t)
	if cmd.Stdin == nil {
		cmd.Stdin = stdin
	}
	cmd.Stdout = stdout
	if cmd.Stderr == nil {
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{stdin, stdout, stderr} {
		_ = f.Close() // the process has its own
	}
	// For a failing test only: nothing here is known to take long.
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		late.Stop()
		if !p.ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return p
}

// pipe closes with the test; a command that reads its standard input to the end
// ends then at the latest.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = r.Close(), w.Close()
	})
	return r, w
}

func newStream(t *testing.T) (*stream, *os.File) {
	t.Helper()
	r, w := pipe(t)
	_ = r.SetReadDeadline(time.Now().Add(patience)) // not every system has that for pipes
	return &stream{r, bufio.NewReader(r)}, w
}

// expect reads the next line and checks how it begins; it gives the rest.
func (p *process) expect(s *stream, begin string) string {
	p.t.Helper()
	line, err := s.ReadString('\n')
	rest, ok := strings.CutPrefix(line, begin)
	if err != nil || !ok {
		p.t.Fatalf("read %q (%v), want a line that begins with %q", line, err, begin)
	}
	return strings.TrimSpace(rest)
}

// ready waits for a command that says so, and gives its PID.
func (p *process) ready() int {
	p.t.Helper()
	pid, err := strconv.Atoi(p.expect(p.out, "ready"))
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// end waits for the end of the process.
func (p *process) end() int {
	p.t.Helper()
	err := p.cmd.Wait()
	p.ended = true
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// finish closes the standard input, and waits for the end of the process and of
// everybody who can still write where it wrote.
func (p *process) finish() result {
	p.t.Helper()
	_ = p.in.Close()
	out, err := io.ReadAll(p.out)
	if err != nil {
		p.t.Fatal(err)
	}
	errs, err := io.ReadAll(p.err)
	if err != nil {
		p.t.Fatal(err)
	}
	return result{p.end(), string(out), string(errs)}
}

// try runs portalocker to its end.
func try(t *testing.T, args ...string) result {
	t.Helper()
	return start(t, args...).finish()
}

// lockFile is a path for a lock in a folder of the test's own.
func lockFile(t *testing.T) string {
	t.Helper()
	return filepath.Join(testproc.Folder(t), "job.lock")
}

// heldLock is a lock that a portalocker holds until its standard input ends.
func heldLock(t *testing.T, options ...string) (path string, holder *process) {
	t.Helper()
	path = lockFile(t)
	holder = start(t, append(append([]string{"run"}, options...), path, "--", self, "@hold")...)
	holder.ready()
	return path, holder
}

// mustBeFree checks that nobody has the lock.
func mustBeFree(t *testing.T, path string) {
	t.Helper()
	if r := try(t, "run", "-n", path, "--", self, "@exit", "0"); r.status != 0 {
		t.Fatalf("the lock is not free: %+v", r)
	}
}

// want checks a result: the status, and what the two outputs contain. An output that
// is to contain "" must be empty.
func (r result) want(t *testing.T, status int, out, errs string) {
	t.Helper()
	contains := func(s, part string) bool { return part == "" && s == "" || part != "" && strings.Contains(s, part) }
	if r.status != status || !contains(r.out, out) || !contains(r.err, errs) {
		t.Errorf("got %+v, want status %d, output with %q, errors with %q", r, status, out, errs)
	}
	if strings.Count(r.err, "\n") > 1 {
		t.Errorf("more than one line of errors: %q", r.err)
	}
}
