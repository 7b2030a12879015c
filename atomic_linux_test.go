package portalocker_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portalocker/portalocker"
	"github.com/portalocker/portalocker/internal/testproc"
)

func init() { roles["small disk"] = smallDiskRole }

// smallDiskRole is a process that mounts a small filesystem, which only it sees,
// and does there what it is told, a line each:
//
//	fill         writes another file until the disk is full
//	inodes       makes files until there may be no more
//	read-only    makes the filesystem read-only
//	write WAY N  replaces the file x by N bytes; the answer is "ok" or "error ..."
//
// After each it says what there is. Its argument is the folder.
func smallDiskRole(p *testproc.Peer, args []string) error {
	dir := args[0]
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=256k,nr_inodes=64"); err != nil {
		return err
	}
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
		return err
	}
	for {
		line, ok := p.Hear()
		if !ok {
			return nil
		}
		var err error
		switch words := strings.Fields(line); words[0] {
		case "fill":
			err = os.WriteFile(filepath.Join(dir, "big"), make([]byte, 1<<20), 0o666)
		case "inodes":
			for n := 0; err == nil; n++ {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%02d", n)), nil, 0o666)
			}
		case "read-only":
			err = unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		case "write":
			n := 0
			_, _ = fmt.Sscan(words[2], &n)
			err = portalocker.WriteFileAtomic(path, make([]byte, n), 0o666, portalocker.WithReplace(), wayNamed(words[1]).before(nil))
		}
		if err != nil {
			p.Say("error %v", err)
		} else {
			p.Say("ok")
		}
		content, err := os.ReadFile(path)
		drafts, _ := filepath.Glob(filepath.Join(dir, ".x*"))
		p.Say("%d bytes, %v, drafts %v", len(content), err, drafts)
	}
}

// smallDisk starts a smallDiskRole, in a mount namespace of its own: as root, or
// else in a user namespace where it may mount.
func smallDisk(t *testing.T, dir string) *testproc.Process {
	t.Helper()
	cmd := testproc.Command(t, "small disk", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	probe := *cmd
	if err := probe.Start(); err != nil {
		testproc.Skip(t, "mount", "this user may have no mount namespace of its own: "+err.Error())
	}
	if err := probe.Wait(); err != nil { // without input it only mounts
		testproc.Skip(t, "mount", "this user may not mount, not even in a namespace of its own")
	}
	return testproc.StartCmd(t, cmd)
}

// TestAtomicFullDisk: the old file stays, nothing is left over, and the error says
// what is wrong.
func TestAtomicFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for _, w := range ways {
		for trouble, text := range map[string]string{"fill": "no space left on device", "inodes": "no space left on device", "read-only": "read-only file system"} {
			t.Run(w.name+" "+trouble, func(t *testing.T) {
				p := smallDisk(t, dir)
				old := func(answer string, bytes int) {
					t.Helper()
					p.Expect(answer)
					p.Expect(fmt.Sprintf("%d bytes, <nil>, drafts []", bytes))
				}
				p.Say("write %s 5000", w.name)
				old("ok", 5000)
				if trouble != "inodes" { // the disk is not full, but it is too small
					p.Say("write %s 1000000", w.name)
					old("error write "+path+": no space left on device", 5000)
				}
				p.Say("%s", trouble)
				p.Hear() // that it worked, or that it did until nothing was left
				p.Expect("5000 bytes")
				p.Say("write %s 8000", w.name)
				said := p.Expect("error ")
				if !strings.Contains(said, path+": "+text) {
					t.Errorf("it said %q", said)
				}
				p.Expect("5000 bytes, <nil>, drafts []")
				must(t, p.Wait())
			})
		}
	}
}

// TestAtomicDescriptors: none is kept open, whatever comes of a file.
func TestAtomicDescriptors(t *testing.T) {
	overWays(t, func(t *testing.T, dir string, w way) {
		path := filepath.Join(dir, "x")
		before := openFiles(t)
		for i := range 100 {
			f, err := portalocker.OpenAtomic(path, w.before(func(step portalocker.AtomicStep) error {
				if i%5 == 1 && step == portalocker.StepSync || i%5 == 2 && step == portalocker.StepSyncFolder {
					return errors.New("broken disk")
				}
				return nil
			}))
			if err == nil && i%5 == 3 {
				err = f.Close()
			} else if err == nil {
				err = f.Commit()
			}
			if (err != nil) != (i%5 == 1 || i%5 == 2) {
				t.Errorf("round %d: %v", i, err)
			}
			_, err = portalocker.OpenAtomic(dir, portalocker.WithReplace(), w.before(nil))
			mustSay(t, err, "is a directory")
			_ = os.Remove(path)
		}
		if now := openFiles(t); now != before {
			t.Errorf("%d descriptors were open before, and %d after", before, now)
		}
	})
}

// traced is an atomicRole under strace, with injected errors if there are any.
type traced struct {
	*testproc.Process
	log string
}

func trace(t *testing.T, w way, inject ...string) traced {
	t.Helper()
	strace := testproc.Tool(t, "strace", "it shows the system calls")
	log := filepath.Join(t.TempDir(), "log")
	args := []string{"-f", "-y", "-s", "16", "-o", log, "-e", "signal=none", "-e",
		"trace=openat,write,fsync,fdatasync,fchmod,flock,linkat,renameat,renameat2,unlinkat"}
	for _, expression := range inject {
		args = append(args, "-e", "inject="+expression)
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		testproc.Skip(t, "strace", "it may not trace here: "+string(out))
	}
	role := testproc.Command(t, "atomic", w.name)
	cmd := exec.Command(strace, append(append(args, role.Path), role.Args[1:]...)...)
	// On one thread, since strace counts injections by thread; quiet, since the
	// runtime's signals would cut calls in two.
	cmd.Env = append(role.Env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	return traced{testproc.StartCmd(t, cmd), log}
}

// calls ends the process and gives its system calls, one a line.
func (p traced) calls(t *testing.T) []string {
	t.Helper()
	must(t, p.Wait())
	log, err := os.ReadFile(p.log)
	must(t, err)
	begun := map[string]string{} // by thread: calls during which another thread made one
	var calls []string
	for line := range strings.Lines(string(log)) {
		thread, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		if begin, ok := strings.CutSuffix(call, " <unfinished ...>"); ok {
			begun[thread] = begin
			continue
		}
		if _, end, ok := strings.Cut(call, " resumed>"); ok {
			call = begun[thread] + end
		}
		calls = append(calls, call)
	}
	return calls
}

// inOrder fails unless the calls have these among them, in this order.
func inOrder(t *testing.T, calls []string, patterns ...string) {
	t.Helper()
	rest := calls
	for _, pattern := range patterns {
		expression := regexp.MustCompile(pattern)
		i := 0
		for ; i < len(rest) && !expression.MatchString(rest[i]); i++ {
		}
		if i == len(rest) {
			t.Errorf("%s does not come after what has to be before it, in\n%s", pattern, strings.Join(calls, "\n"))
			return
		}
		rest = rest[i+1:]
	}
}

// needsNameless skips what the filesystem does not do.
func needsNameless(t *testing.T, w way, dir string) {
	t.Helper()
	named := false
	f, err := portalocker.OpenAtomic(filepath.Join(dir, "probe"), portalocker.BeforeStep(func(step portalocker.AtomicStep) error {
		named = named || step == portalocker.StepNamed
		return nil
	}))
	must(t, err)
	must(t, f.Close())
	if named && w.name == "default" {
		t.Skip("this filesystem has no files without a name (O_TMPFILE)")
	}
}

// TestAtomicOrder: the file is written, then synced, then it gets its name, and
// then the folder is synced.
func TestAtomicOrder(t *testing.T) {
	const written, synced = `^write\(.*"new"`, `^fsync\(.*(#[0-9]+|portalocker-tmp)>.* = 0`
	for _, verb := range []string{"open", "replace"} {
		overWays(t, func(t *testing.T, dir string, w way) {
			needsNameless(t, w, dir)
			path := filepath.Join(dir, "x")
			if verb == "replace" {
				must(t, os.WriteFile(path, []byte("old"), 0o640))
			}
			p := trace(t, w)
			ask(t, p.Process, verb+" "+path, "ok")
			ask(t, p.Process, "commit new", "ok")
			calls := p.calls(t)
			published(t, path, "new")
			folder := `^fsync\([0-9]+<` + regexp.QuoteMeta(dir) + `>\) += 0`
			switch w.name + " " + verb {
			case "default open":
				inOrder(t, calls, `O_TMPFILE`, written, synced, `^linkat\(.*, "x", .* = 0`, folder)
			case "default replace":
				inOrder(t, calls, `O_TMPFILE`, written, synced,
					`^flock\(.*LOCK_EX`, `^linkat\(.*, "\.x\.0\.portalocker-tmp", .* = 0`, `^renameat2?\(.*, "x"\) += 0`, `^flock\(.*LOCK_UN`, folder)
			case "named open":
				inOrder(t, calls, `O_EXCL.*0666`, `^flock\(.*LOCK_EX`, written, synced, `^renameat2\(.*, "x", RENAME_NOREPLACE\) += 0`, `^flock\(.*LOCK_UN`, folder)
			case "linked open":
				inOrder(t, calls, `O_EXCL.*0666`, `^flock\(.*LOCK_EX`, written, synced,
					`^linkat\(.*, "x", 0\) += 0`, `^unlinkat\(.*portalocker-tmp", 0\) += 0`, `^flock\(.*LOCK_UN`, folder)
			default:
				inOrder(t, calls, `O_EXCL.*0600`, `^flock\(.*LOCK_EX`, written, `^fchmod\(.*0640`, synced, `^renameat2?\(.*, "x"\) += 0`, `^flock\(.*LOCK_UN`, folder)
			}
		})
	}
}

// TestAtomicOnOtherSystems: strace makes system calls fail as they do on other
// kernels, on other filesystems, and on broken disks.
func TestAtomicOnOtherSystems(t *testing.T) {
	for _, c := range []struct {
		name, way, verb, inject string
		answer                  string // to the commit; without "ok" the old file stays
		calls                   string // one that was made
	}{
		{"before Linux 6.10", "default", "open", "linkat:error=ENOENT:when=1+2", "ok", `^linkat\(AT_FDCWD.*"/proc/self/fd/[0-9]+", .*"x", AT_SYMLINK_FOLLOW\) += 0`},
		{"and a replacement", "default", "replace", "linkat:error=ENOENT:when=1+2", "ok", `^linkat\(AT_FDCWD.*"/proc/self/fd/[0-9]+", .*portalocker-tmp", AT_SYMLINK_FOLLOW\) += 0`},
		{"without /proc", "default", "open", "linkat:error=ENOENT", "ok", `^renameat2\(.*, "x", RENAME_NOREPLACE\) += 0`},
		{"NFS", "named", "open", "renameat2:error=EINVAL", "ok", `^linkat\(.*, "x", 0\) += 0`},
		{"before Linux 3.15", "named", "open", "renameat2:error=ENOSYS", "ok", `^linkat\(.*, "x", 0\) += 0`},
		{"no hard links", "linked", "open", "linkat:error=EPERM", "error commit PATH: unsupported operation by this filesystem: it has neither a rename that does not replace nor hard links: operation not permitted", `^unlinkat\(.*portalocker-tmp", 0\) += 0`},
		{"no sync of folders", "default", "open", "fsync:error=EINVAL:when=2", "ok", ``},
		{"a broken disk", "default", "replace", "fsync:error=EIO:when=1", "error commit PATH: input/output error", ``},
		{"a disk that breaks late", "default", "replace", "fsync:error=EIO:when=2", "error commit PATH: published, but a power failure may undo it: input/output error", ``},
		{"a folder that is full", "default", "open", "linkat:error=ENOSPC:when=2", "error commit PATH: no space left on device", ``},
		{"a folder that is full, replaced", "default", "replace", "linkat:error=ENOSPC:when=2", "error commit PATH: no space left on device", ``},
		{"and in the rename", "default", "replace", "renameat,renameat2:error=ENOSPC", "error commit PATH: no space left on device", `^unlinkat\(.*portalocker-tmp", 0\) += 0`},
		{"a quota that is full", "named", "replace", "fsync:error=EDQUOT:when=1", "error commit PATH: disk quota exceeded", `^unlinkat\(.*portalocker-tmp", 0\) += 0`},
		{"a mount point", "default", "replace", "renameat,renameat2:error=EBUSY", "error commit PATH: device or resource busy (a mount point, such as a file that is bound into a container, cannot be replaced)", ``},
		{"signals", "default", "replace", "linkat,renameat,renameat2:error=EINTR:when=1", "ok", ``},
		{"no locks", "named", "replace", "flock:error=ENOLCK", "ok", ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			needsNameless(t, wayNamed(c.way), dir)
			path := filepath.Join(dir, "x")
			if c.verb == "replace" {
				must(t, os.WriteFile(path, []byte("old"), 0o666))
			}
			before := snapshot(t, dir)
			p := trace(t, wayNamed(c.way), c.inject)
			ask(t, p.Process, c.verb+" "+path, "ok")
			p.Say("commit new")
			if got, want := p.Hear(), strings.ReplaceAll(c.answer, "PATH", path); got != want {
				t.Errorf("it says %q, not %q", got, want)
			}
			calls := p.calls(t)
			inOrder(t, calls, `INJECTED`)
			inOrder(t, calls, c.calls)
			if c.answer == "ok" || strings.Contains(c.answer, "published") {
				published(t, path, "new")
			} else {
				unchanged(t, dir, before)
			}
		})
	}
}
