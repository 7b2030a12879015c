//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

// flockCase is a shell script that runs under both programs. It finds the program
// under test in $FLOCK, and flock(1) in $REAL, for what is around it.
type flockCase struct {
	script string
	sorted bool // the order of its output says nothing
}

// Usage: what is wrong, and what is taken.
var flockUsageCases = []string{
	`$FLOCK`,
	`$FLOCK x`,
	`$FLOCK ''`,
	`$FLOCK -`,
	`$FLOCK --`,
	`$FLOCK -s`,
	`$FLOCK -w`,
	`$FLOCK -w 1`,
	`$FLOCK -z x true`,
	`$FLOCK -sz x true`,
	`$FLOCK '-?'`,
	`$FLOCK -: x true`,
	`$FLOCK -c true`,
	`$FLOCK -c true x`,
	`$FLOCK --command true x`,
	`$FLOCK --walk`,
	`$FLOCK --walk=5 x true`,
	`$FLOCK --wait`,
	`$FLOCK --conflict-exit-code`,
	`$FLOCK --shared=1 x true`,
	`$FLOCK --no x true`,
	`$FLOCK --n x true`,
	`$FLOCK --v x true`,
	`$FLOCK --ver x true`,
	`$FLOCK --c x true`,
	`$FLOCK -F -o x true`,
	`$FLOCK -oF`,
	`$FLOCK --no-fork --close -w 1 x true`,
	`$FLOCK x -c`,
	`$FLOCK x -c true true`,
	`$FLOCK x --command`,
	`$FLOCK -E 256 x true`,
	`$FLOCK -E -1 x true`,
	`$FLOCK -E '' x true`,
	`$FLOCK -E 1x x true`,
	`$FLOCK -E 0x1 x true`,
	`$FLOCK -E 99999999999 x true`,
	`$FLOCK -w '' x true`,
	`$FLOCK -w . x true`,
	`$FLOCK -w soon x true`,
	`$FLOCK -w 5s x true`,
	`$FLOCK -w 1,5 x true`,
	`$FLOCK -w '5 ' x true`,
	`$FLOCK -w 1_0 x true`,
	`$FLOCK -w 1e99999 x true`,
	`$FLOCK --timeout= x true`,
	`$FLOCK -wE5 x true`,
	`$FLOCK -w -1 x true`, // too late to leave no file
	`$FLOCK -w -0.5 x true`,
	`$FLOCK -w inf x true`,
	`$FLOCK -w nan x true`,
	`$FLOCK -w 1e19 x true`,
	`$FLOCK abc`,
	`$FLOCK 0x1`,
	`$FLOCK 1x`,
	`$FLOCK 99999999999`,
	`$FLOCK 2147483648`,
	`$FLOCK -z -h`,
	`$FLOCK -w soon -h`,
	// And these are right.
	`$FLOCK -n x echo run`,
	`$FLOCK --nb x echo run`,
	`$FLOCK --non x echo run`,
	`$FLOCK --nonblock x echo run`,
	`$FLOCK --nonblocking x echo run`,
	`$FLOCK -s -x -e -s x echo run`,
	`$FLOCK --sh x echo run`,
	`$FLOCK --exclusive x echo run`,
	`$FLOCK -xnoE5 x echo run`,
	`$FLOCK -nE 5 x echo run`,
	`$FLOCK -E ' 3' x echo run`,
	`$FLOCK -E +3 x echo run`,
	`$FLOCK --conf 5 x echo run`,
	`$FLOCK --conflict-exit-code=5 x echo run`,
	`$FLOCK -w1 x echo run`,
	`$FLOCK -w 0 x echo run`,
	`$FLOCK -w -0 x echo run`,
	`$FLOCK -w 1e-9 x echo run`,
	`$FLOCK -w .5 x echo run`,
	`$FLOCK -w 5. x echo run`,
	`$FLOCK -w ' 5' x echo run`,
	`$FLOCK -w +5 x echo run`,
	`$FLOCK -w 1e3 x echo run`,
	`$FLOCK -w 0x10 x echo run`,
	`$FLOCK -w 1e18 x echo run`,
	`$FLOCK --wait 1 x echo run`,
	`$FLOCK --time=1 x echo run`,
	`$FLOCK -- x echo run`,
	`$FLOCK -n -- x echo run`,
	`$FLOCK - echo run`,
	`$FLOCK x -- echo run`, // "--" is the command
	`$FLOCK x -n echo run`,
	`$FLOCK x echo -n -c --help`,
	`$FLOCK -u x echo run`,
	`$FLOCK -un x echo run`,
}

// What is locked, what is run, and what becomes of it.
var flockCases = []flockCase{
	// Statuses and streams of the command.
	{script: `$FLOCK x sh -c 'exit 7'`},
	{script: `$FLOCK x sh -c 'exit 300'`},
	{script: `$FLOCK x false`},
	{script: `$FLOCK x sh -c 'kill -9 $$'`},
	{script: `$FLOCK x sh -c 'kill -TERM $$'`},
	{script: `$FLOCK -F x sh -c 'exit 7'`},
	{script: `$FLOCK -F x sh -c 'kill -9 $$'`},
	{script: `echo in | $FLOCK x cat; $FLOCK x sh -c 'echo out; echo err >&2'`},
	{script: `$FLOCK x cat <&-; $FLOCK x true >&- 2>&-`},
	{script: `$FLOCK x sh -c 'echo ${PORTALOCKER_LOCK-none}'`},
	{script: `A=1 B='2 3' $FLOCK x sh -c 'echo "$A" "$B"'`},
	{script: `$FLOCK x echo 'a  b' '' '*'`},

	// Commands that cannot be run.
	{script: `$FLOCK x /no/such/command`},
	{script: `$FLOCK x no-such-command`},
	{script: `$FLOCK -F x no-such-command`},
	{script: `$FLOCK x ''`},
	{script: `$FLOCK x ./kept`},
	{script: `$FLOCK x ./lost`},
	{script: `$FLOCK x kept/echo`},
	{script: `$FLOCK x ./plain script; $FLOCK -F x ./plain script`},
	{script: `$FLOCK plain ./plain itself`},
	{script: `PATH=.:$PATH; $FLOCK x plain by PATH`},
	{script: `unset PATH; $FLOCK x echo no PATH`},
	{script: `$FLOCK x no-such-command; $REAL -n x echo free`},

	// The shell.
	{script: `$FLOCK x -c 'echo $0; exit 4'`},
	{script: `$FLOCK x --command 'echo a | tr a b'`},
	{script: `$FLOCK x -c ''`},
	{script: `$FLOCK -F x -c 'exit 4'`},
	{script: `SHELL=/bin/echo $FLOCK x -c 'a line'`},
	{script: `SHELL= $FLOCK x -c 'echo sh'`},
	{script: `unset SHELL; $FLOCK x -c 'echo sh'`},
	{script: `SHELL=/no/such/shell $FLOCK x -c 'echo sh'`},

	// What can be locked.
	{script: `$FLOCK kept cat kept`},
	{script: `umask 027; $FLOCK new true`},
	{script: `umask 777; $FLOCK new true; $FLOCK -n new true`},
	{script: `$FLOCK dir echo run; $FLOCK . echo run; $FLOCK dir/ echo run`},
	{script: `$FLOCK dir/new echo run`},
	{script: `$FLOCK new/ echo run`},
	{script: `$FLOCK no/x echo run`},
	{script: `$FLOCK kept/x echo run`},
	{script: `$FLOCK '' echo run`},
	{script: `$FLOCK /dev/zero echo run; $FLOCK /dev/tty true 2>&1 | grep -c lock`},
	{script: `$FLOCK /proc/no-such-file echo run`},
	{script: `ln -s target link; $FLOCK link echo run`},
	{script: `ln -s link link; $FLOCK link echo run`},
	{script: `$FLOCK "$(printf '%0300d' 1)" echo run`},
	{script: `chmod 444 kept; $FLOCK -n kept echo run`},

	// Conflicts.
	{script: `$REAL x $FLOCK -n x echo run`},
	{script: `$REAL x $FLOCK -n -E 0 x echo run`},
	{script: `$REAL x $FLOCK -n -E 255 x echo run`},
	{script: `$REAL x $FLOCK -w 0 x echo run`},
	{script: `$REAL x $FLOCK -w 0.01 x echo run`},
	{script: `$REAL x $FLOCK -w 0.01 -E 9 x echo run`},
	{script: `$REAL x $FLOCK -w 0.01 -n x echo run`},
	{script: `$REAL x $FLOCK -n --verbose x echo run`},
	{script: `$REAL x $FLOCK -w 0.01 --verbose x echo run`},
	{script: `$REAL x $FLOCK -s -n x echo run`},
	{script: `$REAL -s x $FLOCK -s -n x echo run`},
	{script: `$REAL -s x $FLOCK -n x echo run`},
	{script: `$REAL -s x $FLOCK -s -w 0.01 x echo run`},
	{script: `$REAL x $FLOCK -u -n x echo run`},
	{script: `$REAL x $FLOCK -u x $REAL -n x echo run`}, // it unlocks its own, not that of others
	{script: `$REAL dir $FLOCK -n dir/. echo run`},
	{script: `ln kept y; $REAL kept $FLOCK -n y echo run`},
	{script: `$FLOCK x $REAL -n x echo run`},
	{script: `$FLOCK -s x $REAL -n x echo run; $FLOCK -s x $REAL -sn x echo run`},
	{script: `$FLOCK -F x $REAL -n x echo run`},
	{script: `$FLOCK -o x $REAL -n x echo run`},
	{script: `$FLOCK x true; $REAL -n x echo free`},

	// Waiting.
	{script: `mkfifo go; $REAL x sh -c 'echo held >go; read _ <go; echo released' & read _ <go
		$FLOCK x echo got & echo >go; wait`},
	{script: `mkfifo go; $REAL x sh -c 'echo held >go; read _ <go; echo released' & read _ <go
		$FLOCK -w 60 x echo got & echo >go; wait`},
	{script: `mkfifo go; $REAL x sh -c 'echo held >go; read _ <go; echo released' & read _ <go
		(echo >go; $FLOCK -w 60 9; echo got $?) 9>x; wait`, sorted: true},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK x true & kill -TERM $!; wait $! 2>/dev/null; echo $?`},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK 9 & kill -HUP $!; wait $! 2>/dev/null; echo $?; $REAL -u 8; $REAL -n x echo free`},
	{script: `exec 8>x; $REAL 8; $FLOCK -w 60 x true & kill -KILL $!; wait $! 2>/dev/null; echo $?`},

	// Descriptors.
	{script: `$FLOCK 9 9>&-`},
	{script: `exec 3>&- 4>&- 5>&- 6>&- 7>&-; for n in 3 4 5 6 7; do $FLOCK $n; echo $?; done`}, // not Go's own either
	{script: `$FLOCK -n 0 <&-; echo $?; $FLOCK -u 0 <&-; echo $?; $FLOCK -n 1 >&-`},
	{script: `$FLOCK -- -1`},
	{script: `$FLOCK 2147483647`},
	{script: `$FLOCK -u 9 9>&-`},
	{script: `exec 9>x; $FLOCK ' 9'; $REAL -n x echo run; $FLOCK +9`},
	{script: `exec 9>x; $FLOCK 9; $REAL -n x echo run; $REAL -sn x echo run`},
	{script: `exec 9>x; $FLOCK -s 9; $REAL -n x echo run; $REAL -sn x echo shared`},
	{script: `exec 9>x; $FLOCK -s 9; $FLOCK -x 9; $REAL -sn x echo run; $FLOCK -s 9; $REAL -sn x echo shared`},
	{script: `exec 9>x; $FLOCK 9; $FLOCK 9; $FLOCK -n 9; $FLOCK -u 9; $REAL -n x echo free`},
	{script: `exec 9>x; $FLOCK -u 9; $FLOCK -un 9; $FLOCK -u -w 1 9`},
	{script: `exec 9>x; $FLOCK -o 9; $FLOCK -F 9; $REAL -n x echo run`},
	{script: `exec 9<kept; $FLOCK 9; $REAL -n kept echo run`},
	{script: `exec 9<dir; $FLOCK 9; $REAL -n dir echo run`},
	{script: `exec 9<>x; $FLOCK 9; exec 9>&-; $REAL -n x echo free`},
	{script: `(exec 9>x; $FLOCK 9); $REAL -n x echo free`},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK -n 9`},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK -n -E 7 --verbose 9`},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK -w 0.01 -E 7 --verbose 9; echo $?; $REAL -u 8; $REAL -n x echo free`},
	{script: `exec 8>x 9>x; $REAL -s 8; $FLOCK -s -w 0.01 9 && $FLOCK -x -w 0.01 9`},
	{script: `exec 8>x 9>x; $REAL 8; $FLOCK -w 60 9 & p=$!; $REAL -u 8; wait $p; echo $?; $REAL -n x echo run`},
	{script: `exec 9>x; $FLOCK --verbose 9`},
	{script: `exec 9>x; $FLOCK 9 -c true`}, // that is a file of the name 9
	{script: `exec 9</dev/zero; $FLOCK -w 60 9`},
	{script: `true | $FLOCK -n 0; $FLOCK -n 1 >out`},

	// The lock and its inheritance.
	{script: `mkfifo go; $FLOCK x sh -c '(read _ <go; echo end) &'; $REAL -n x echo run; echo >go; $REAL x echo free`},
	{script: `mkfifo go; $FLOCK -o x sh -c '(read _ <go) &'; $REAL -n x echo free; echo >go`},
	{script: `mkfifo go; $FLOCK -F x sh -c '(read _ <go; echo end) &'; $REAL -n x echo run; echo >go; $REAL x echo free`},
	{script: `$FLOCK -F x sh -c 'echo $$ >pid' & wait $!; test $(cat pid) = $! && echo same; rm pid`},
	{script: `$FLOCK x sh -c 'echo $PPID >pid' & wait $!; test $(cat pid) = $! && echo parent; rm pid`},
	{script: `exec 7<kept; $FLOCK x sh -c 'cat <&7'`},
	{script: `for file in x kept dir /dev/zero; do $FLOCK $file sh -c 'for f in /proc/$$/fd/*; do
		test $f -ef '$file' && grep flags: /proc/$$/fdinfo/${f##*/}; done; true'; done`}, // how it is open

	// Signals.
	{script: `trap '' INT; $FLOCK x sh -c 'kill -INT $$; echo alive'`},
	{script: `trap '' HUP; $FLOCK x sh -c 'kill -HUP $$ $PPID; echo alive'`},
	{script: `$FLOCK x sh -c 'kill -QUIT $PPID; kill -INT $PPID; kill -INT $$; kill -QUIT $$; echo alive' & wait $!; echo $?`},

	// What it says.
	{script: `$FLOCK --verbose x true`},
	{script: `$FLOCK --verbose x echo run`, sorted: true},
	{script: `$FLOCK --verbose x -c 'echo run'`, sorted: true},
	{script: `$FLOCK --verbose -o -w 5 -n x true`},
	{script: `$FLOCK --verbose x no-such-command`, sorted: true},
	{script: `$FLOCK --verbose x sh -c 'exit 3' >/dev/full`},
	{script: `$FLOCK --help >/dev/full`},
	{script: `$FLOCK --version >/dev/full`},
}

// Signals that end flock(1) leave the command alone, with the lock.
func flockSignalCases() (cases []flockCase) {
	for _, sig := range []string{"TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "KILL"} {
		cases = append(cases, flockCase{script: fmt.Sprintf(`mkfifo go
			$FLOCK x sh -c 'kill -%s $PPID; echo; read _ <go; echo end' >out; echo $?
			$REAL -n x echo run; echo >go; $REAL x cat out; rm out`, sig)})
	}
	return cases
}

func TestFlockIsFlock(t *testing.T) {
	real := utilLinuxFlock(t)
	cases := slices.Concat(flockCases, flockSignalCases())
	for _, script := range flockUsageCases {
		cases = append(cases, flockCase{script: script})
	}
	own := builtFlock(t, "0")
	for _, c := range cases {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			want, got := runFlockCase(t, real, real, c), runFlockCase(t, own, real, c)
			if got != want {
				t.Errorf("differs\n got: %+v\nwant: %+v", got, want)
			}
		})
	}
}

// flock(1) would wait for somebody to write to the pipe.
func TestFlockDoesNotWaitForAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	try(t, "flock", "-n", path, self, "@exit", "5").want(t, 5, "", "")
}

// utilLinuxFlock is the program to compare with.
func utilLinuxFlock(t testing.TB) string {
	t.Helper()
	path := testproc.Tool(t, "flock", "install util-linux")
	if out, _ := exec.Command(path, "--version").Output(); !strings.Contains(string(out), "util-linux") {
		testproc.Skip(t, "flock", "the flock here is not that of util-linux")
	}
	return path
}

// flockResult is what can be seen of a script. It is comparable.
type flockResult struct{ status, out, errs, left string }

func runFlockCase(t *testing.T, program, real string, c flockCase) flockResult {
	t.Helper()
	dir := t.TempDir()
	// No process may be forked meanwhile, which would have the programs open for writing,
	// so that they could not be run (go.dev/issue/22315).
	syscall.ForkLock.RLock()
	for name, file := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"kept":  {"kept\n", 0o640},
		"plain": {"echo plain \"$@\"\n", 0o755},
		"lost":  {"#!/no/such/interpreter\n", 0o755},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(file.content), file.mode); err != nil {
			t.Error(err)
		}
	}
	syscall.ForkLock.RUnlock()
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "ulimit -c 0; "+c.script)
	cmd.Dir = dir
	cmd.Env = append(portalockerCommand().Env, "FLOCK="+program, "REAL="+real, "LC_ALL=C", "SHELL=/bin/sh")
	r := startCommand(t, cmd).finish()
	got := flockResult{status: cmd.ProcessState.String(), out: seconds.ReplaceAllString(r.out, "took N seconds"), errs: r.err}
	if c.sorted {
		lines := strings.SplitAfter(got.out, "\n")
		slices.Sort(lines)
		got.out = strings.Join(lines, "")
	}
	got.errs = strings.ReplaceAll(got.errs, program, "flock")
	got.left = leftBehind(t, dir)
	return got
}

var seconds = regexp.MustCompile(`took \d+\.\d{6} seconds`)

// leftBehind tells of all files in a folder, and whether they are locked.
func leftBehind(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %v", strings.TrimPrefix(path, dir), info.Mode())
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			fmt.Fprintf(&all, " %q %v", content, err != nil)
		}
		if d.Type().IsRegular() || d.IsDir() {
			lock := portalocker.New(path, portalocker.WithMode("r"), portalocker.WithTimeout(0))
			_, err := lock.Acquire(t.Context())
			fmt.Fprintf(&all, " locked: %v", errors.Is(err, portalocker.ErrAlreadyLocked))
			if err := lock.Release(); err != nil {
				return err
			}
		}
		all.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(all.String(), dir, "")
}
