package portalocker_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/proclocks"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() {
	roles["bequeath"] = bequeathRole
	roles["container"] = containerRole
	roles["overlay"] = overlayRole
}

// bequeathRole is a process that takes a lock and starts another one, the heir, that
// inherits the open file. It says the heir's PID, closes its own copy when it is told
// to, and lives on. The heir ends when descriptor 3, which it gets as its input, does.
// The arguments are flock or ofd, and the path.
func bequeathRole(p *testproc.Peer, args []string) error {
	input := os.NewFile(3, "input of the heir")
	f, heir, err := bequeath(args[0], args[1], input)
	if err != nil {
		return err
	}
	p.Say("%d", heir)
	p.Hear()
	if err := f.Close(); err != nil {
		return err
	}
	p.Say("closed")
	p.Hear()
	return nil
}

func bequeath(mechanism, path string, input *os.File) (f *os.File, heir int, err error) {
	f, err = os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	if mechanism == "flock" {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	} else {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.ExtraFiles = input, []*os.File{f}
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	return f, cmd.Process.Pid, nil
}

// bequeather starts one, and gives the PID of its heir too.
func bequeather(t *testing.T, mechanism, path string) (p *testproc.Process, heir string) {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	cmd := testproc.Command(t, "bequeath", mechanism, path)
	cmd.ExtraFiles = []*os.File{r}
	p = testproc.StartCmd(t, cmd)
	must(t, r.Close())
	return p, p.Expect("")
}

// TestHoldersTellsHeirs: a lock that several processes have is told once, with the one
// that took it; if that has closed the file or has ended, with one that inherited it.
func TestHoldersTellsHeirs(t *testing.T) {
	for _, mechanism := range []string{"flock", "ofd"} {
		holds := func(pid any) string { return fmt.Sprintf("holds %v %s exclusive", pid, mechanism) }
		t.Run(mechanism+"/closed", func(t *testing.T) {
			path := emptyFile(t, "x")
			p, heir := bequeather(t, mechanism, path)
			lists(t, path, holds(p.Cmd.Process.Pid))
			p.Say("close")
			p.Expect("closed")
			lists(t, path, holds(heir))
		})
		t.Run(mechanism+"/killed", func(t *testing.T) {
			path := emptyFile(t, "x")
			p, heir := bequeather(t, mechanism, path)
			must(t, p.Cmd.Process.Kill())
			testproc.Await(t, "the heir holds it", func() bool {
				rows, err := holdersOf(path)
				must(t, err)
				return slices.Equal(rows, []string{holds(heir)})
			})
			// An acquisition that fails does not look for heirs, but must not name the dead.
			testproc.Await(t, "the process is forgotten", func() bool {
				_, err := portalocker.New(path, portalocker.WithTimeout(0), portalocker.WithMechanism(mechanismNamed(mechanism))).Acquire(t.Context())
				var e *portalocker.LockError
				return errors.As(err, &e) && errors.Is(err, portalocker.ErrAlreadyLocked) && e.HolderPID == 0
			})
		})
	}
}

// TestHoldersUnprivileged: another user's locks are told as far as the system lets it,
// and one's own in full.
func TestHoldersUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be two users")
	}
	path := newFile(t, filepath.Join(sharedDir(t, 0o755), "x"), "", 0o666)
	_, root := locked(t, "flock shared 0 0 "+path, "ofd shared 0 10 "+path, "posix exclusive 20 10 "+path)
	_, other := locked(t, "nobody", "flock shared 0 0 "+path, "ofd shared 40 10 "+path, "wait posix exclusive 20 1 "+path)
	blocked(t, path, 1)
	p := testproc.Start(t, "holders", path, "nobody")
	var got []string
	for row := p.Hear(); row != "end"; row = p.Hear() {
		got = append(got, row)
	}
	slices.Sort(got)
	want := []string{
		fmt.Sprintf("holds %d flock shared", root),
		"holds 0 ofd shared 0 10",
		fmt.Sprintf("holds %d posix exclusive 20 10", root),
		fmt.Sprintf("holds %d flock shared", other),
		fmt.Sprintf("holds %d ofd shared 40 10", other),
		fmt.Sprintf("waits %d posix exclusive 20 1", other),
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// containerRole is the first process of a PID namespace. It says what Holders tells of
// three files: one that processes outside have locked, one that it locks itself, and
// one whose lock an heir has from a process that has ended; and of the last one what
// All tells.
func containerRole(p *testproc.Peer, args []string) error {
	outside, own, inherited := args[0], args[1], args[2]
	if outside == "taker" { // as which it is started below
		_, heir, err := bequeath("flock", own, os.Stdin)
		fmt.Println(heir)
		return err
	}
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, ""))
	if err != nil {
		p.Say("no mounts: %v", err)
		return nil
	}
	if err := systemLock("flock exclusive 0 0 "+own, false); err != nil {
		return err
	}
	taker := exec.Command("/proc/self/exe", "taker", inherited, "")
	taker.Stdin = os.Stdin
	heir, err := taker.Output()
	if err != nil {
		return err
	}
	p.Say("heir %s", strings.TrimSpace(string(heir)))
	for _, path := range []string{outside, own, inherited} {
		rows, err := holdersOf(path)
		if err != nil {
			return err
		}
		p.Say("%q", rows)
	}
	locks, err := proclocks.All()
	if err != nil {
		return err
	}
	var rows []string
	for _, l := range locks {
		if l.Path == inherited {
			rows = append(rows, fmt.Sprintf("%d %v %t", l.PID, l.Mechanism, l.Waiting))
		}
	}
	p.Say("%q", rows)
	p.Hear()
	return nil
}

// inNamespaces is the command of a role that has namespaces of its own.
func inNamespaces(t *testing.T, flags uintptr, role string, args ...string) *exec.Cmd {
	t.Helper()
	try := exec.Command("true")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := try.Run(); err != nil {
		testproc.Skip(t, "namespaces", fmt.Sprintf("run the tests as root where it may make them (%v)", err))
	}
	cmd := testproc.Command(t, role, args...)
	cmd.SysProcAttr = try.SysProcAttr
	return cmd
}

// TestHoldersInContainer: in a PID namespace PIDs are those of the namespace. The table
// of locks there lacks the locks of processes outside, but for OFD locks, which have no
// PID anyway, and those of processes that have ended, which descriptors still show.
func TestHoldersInContainer(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, name := range []string{"outside", "own", "inherited"} {
		paths = append(paths, newFile(t, filepath.Join(dir, name), "", 0o666))
	}
	locked(t, "flock exclusive 0 0 "+paths[0], "posix exclusive 0 0 "+paths[0])
	locked(t, "ofd exclusive 0 0 "+newFile(t, filepath.Join(dir, "ofd"), "", 0o666))
	p := testproc.StartCmd(t, inNamespaces(t, unix.CLONE_NEWPID|unix.CLONE_NEWNS, "container", paths...))
	heir := p.Hear()
	if strings.HasPrefix(heir, "no mounts") {
		testproc.Skip(t, "namespaces", heir)
	}
	heir = strings.TrimPrefix(heir, "heir ")
	for _, want := range []string{
		`[]`,
		`["holds 1 flock exclusive"]`,
		fmt.Sprintf(`["holds %s flock exclusive"]`, heir),
		fmt.Sprintf(`["%s flock false"]`, heir),
	} {
		if got := p.Hear(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// overlayRole mounts an overlayfs of several filesystems in a folder, locks a file and
// a folder there, and says what Holders tells of those and of one that is not locked.
// On a system that it was tried on, they are told apart by stat only.
func overlayRole(p *testproc.Peer, args []string) error {
	dir := args[0]
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("none", dir, "tmpfs", 0, ""))
	for _, name := range []string{"one", "two", "upper", "work", "all"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	err = errors.Join(err, unix.Mount("none", filepath.Join(dir, "two"), "tmpfs", 0, ""), os.Chdir(dir))
	for _, name := range []string{"one/a", "two/b", "two/c"} {
		err = errors.Join(err, os.WriteFile(name, nil, 0o666))
	}
	err = errors.Join(err, unix.Mount("overlay", "all", "overlay", 0, "lowerdir=two:one,upperdir=upper,workdir=work"), os.Chdir("all"))
	if err != nil {
		p.Say("no mounts: %v", err)
		return nil
	}
	for _, path := range []string{"a", "b", "."} {
		f, err := os.Open(path) // for reading, so that overlayfs does not copy it
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // nothing was written
		if err := portalocker.LockFile(f, portalocker.Exclusive|portalocker.NonBlocking); err != nil {
			return err
		}
	}
	for _, path := range []string{"a", "b", ".", "c"} {
		rows, err := holdersOf(path)
		if err != nil {
			return err
		}
		p.Say("%q", rows)
	}
	p.Say("%d", os.Getpid())
	return nil
}

// TestHoldersOnOverlay: overlayfs has other device numbers in stat than in the table of
// locks, and can have the same numbers there for several files.
func TestHoldersOnOverlay(t *testing.T) {
	p := testproc.StartCmd(t, inNamespaces(t, unix.CLONE_NEWNS, "overlay", t.TempDir()))
	var got []string
	for range 4 {
		got = append(got, p.Hear())
		if strings.HasPrefix(got[0], "no mounts") {
			testproc.Skip(t, "overlayfs", got[0])
		}
	}
	held := fmt.Sprintf(`["holds %s flock exclusive"]`, p.Hear())
	if want := []string{held, held, held, `[]`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	must(t, p.Wait())
}
