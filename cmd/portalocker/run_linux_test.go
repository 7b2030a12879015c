package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal makes a terminal of its own for a process, its standard input. What is
// written to the first file is typed there; the second is the terminal itself.
func terminal(t *testing.T, cmd *exec.Cmd) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil { // pty(7), unlockpt(3)
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	cmd.Stdin = tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	return keyboard, tty
}

// A key reaches the whole foreground process group, the command too: it must not
// get the signal twice, and it must get it if it has left the group.
func TestRunSignalsOfTheTerminalArriveOnce(t *testing.T) {
	for _, where := range []string{"together", "alone"} {
		cmd := portalockerCommand("run", lockFile(t), "--", self, "@signals", where)
		keyboard, _ := terminal(t, cmd)
		p := startCommand(t, cmd)
		p.ready()
		const controlC, controlBackslash = "\x03", "\x1c"
		for range 10 {
			for _, key := range []struct{ code, signal string }{{controlC, "interrupt"}, {controlBackslash, "quit"}} {
				if _, err := keyboard.WriteString(key.code); err != nil {
					t.Fatal(err)
				}
				p.expect(p.out, key.signal)
			}
		}
		// What has been passed on needlessly comes before these.
		p.send(unix.SIGUSR1)
		p.expect(p.out, "user defined signal 1")
		p.send(unix.SIGTERM)
		if r := p.finish(); r.out != "terminated\n" || r.status != 9 {
			t.Errorf("%s: ended with %+v", where, r)
		}
	}
}

// unprivileged makes a command run as nobody, if the test runs as root, to whom
// permissions mean nothing. The test's folder becomes accessible.
func unprivileged(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := portalockerCommand(args...)
	if os.Geteuid() != 0 {
		return cmd
	}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = dir
	// The folder of the test binary is the tester's own, too.
	binary := filepath.Join(dir, "portalocker.test")
	if _, err := os.Stat(binary); err != nil {
		content, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(binary, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path, cmd.Args[0] = binary, binary
	for d := dir; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return cmd
}

func TestRunPermissions(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		perm    os.FileMode
		options string
		status  int
		errs    string
	}{
		{0o444, "-n", 0, ""},
		{0o444, "-n -s", 0, ""},
		{0o222, "-n", 0, ""},
		{0o000, "-n", statusNoInput, "permission denied"},
		{0o444, "-n --mechanism ofd", statusNoInput, "permission denied"}, // an exclusive one has to be open for writing
		{0o444, "-n -s --mechanism ofd", 0, ""},
	} {
		path := filepath.Join(dir, fmt.Sprintf("%03o.lock", c.perm))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.perm); err != nil {
			t.Fatal(err)
		}
		args := append(append([]string{"run"}, strings.Fields(c.options)...), path, "--", "true")
		startCommand(t, unprivileged(t, dir, args...)).finish().want(t, c.status, "", c.errs)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	for _, option := range []string{"-n", "--temp", "--pid"} {
		cmd := unprivileged(t, dir, "run", option, filepath.Join(dir, "new.lock"), "--", "true")
		_ = os.Chmod(dir, 0o555)
		startCommand(t, cmd).finish().want(t, statusNoInput, "", "permission denied")
	}
}

func TestRunOnAReadOnlyFilesystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := t.TempDir()
	script := `mount -t tmpfs none "$1" && : >"$1/there.lock" && mount -o remount,ro "$1" || { echo cannot mount; exit; }
		shift; exec "$0" "$@"`
	inside := func(lock, option string) result {
		cmd := exec.Command("/bin/sh", "-c", script, self, dir, "run", option, filepath.Join(dir, lock), "--", self, "@exit", "5")
		cmd.Env = portalockerCommand().Env
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		r := startCommand(t, cmd).finish()
		if strings.Contains(r.out, "cannot mount") {
			t.Skip("no mounts here:", r.err)
		}
		return r
	}
	inside("there.lock", "-n").want(t, 5, "", "")
	inside("new.lock", "-n").want(t, statusCannotMake, "", "read-only file system")
	inside("new.lock", "--temp").want(t, statusCannotMake, "", "read-only file system")
	inside("new.lock", "--pid").want(t, statusCannotMake, "", "read-only file system")
}

func TestRunWithoutDescriptors(t *testing.T) {
	// How many this program needs before the lock's is Go's business.
	for limit := 3; limit < 16; limit++ {
		cmd := exec.Command("/bin/sh", "-c", `ulimit -n "$1"; shift; exec "$0" "$@"`, self,
			fmt.Sprint(limit), "run", lockFile(t), "--", self, "@exit", "0")
		cmd.Env = portalockerCommand().Env
		if r := startCommand(t, cmd).finish(); r.status == statusOS {
			r.want(t, statusOS, "", "too many open files (too many files are open in this process: see 'ulimit -n')")
			return
		}
	}
	t.Error("no limit led to a status of its own")
}
